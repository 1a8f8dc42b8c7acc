// Segments an image with a file of `kdseg export --to openvino`: segment student-fp32.xml street.ppm mask.pgm
// The image is a binary PPM, the mask a binary PGM whose values are class indices.

#include <cstdint>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include <openvino/openvino.hpp>

#include "segment.h"

namespace {

std::string read_card(const std::string& file, const ov::Model& model) {
    if (!model.has_rt_info("kdseg")) {
        throw std::runtime_error(file + ": was not written by kdseg export");
    }
    return model.get_rt_info<std::string>("kdseg");
}

// OpenVINO runs float32 in bf16 where it can, unless it is told the precision that the card says.
ov::AnyMap settings(const std::string& card) {
    const std::string precision = entry(card, "precision");
    if (precision == "\"fp32\"") {
        return {ov::hint::inference_precision(ov::element::f32)};
    }
    if (precision == "\"bf16\"") {
        return {ov::hint::inference_precision(ov::element::bf16)};
    }
    return {};
}

}  // namespace

int main(int count, char** words) try {
    if (count != 4) {
        throw std::runtime_error("usage: segment FILE.xml IMAGE.ppm MASK.pgm");
    }
    const std::string file = words[1];
    ov::Core core;
    const auto model = core.read_model(file);
    const std::string card = read_card(file, *model);

    Image image = read_ppm(words[2]);
    check(file, card, image);
    auto request = core.compile_model(model, "CPU", settings(card)).create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::u8, {1, 3, image.height, image.width}, image.planes.data()));
    request.infer();
    write_pgm(words[3], image, request.get_output_tensor().data<std::uint8_t>());  // 1 × height × width
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
}
