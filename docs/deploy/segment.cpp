// Segments an image with a file of `kdseg export --to openvino`: segment student-fp32.xml street.ppm mask.pgm
// The image is a binary PPM, the mask a binary PGM whose values are class indices.

#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <openvino/openvino.hpp>

namespace {

struct Image {
    std::size_t width = 0, height = 0;
    std::vector<unsigned char> pixels;  // height × width × 3, red first
};

Image read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    std::size_t most = 0;
    Image image;
    if (!(file >> magic >> image.width >> image.height >> most) || magic != "P6" || most != 255) {
        throw std::runtime_error(path + ": is no binary PPM of 8 bits");
    }
    file.get();  // the one white space before the pixels
    image.pixels.assign(std::istreambuf_iterator<char>(file), {});
    if (image.pixels.size() != image.width * image.height * 3) {
        throw std::runtime_error(path + ": is cut short");
    }
    return image;
}

// Gives the image as the file takes it: one plane for each colour.
ov::Tensor planes(const Image& image) {
    ov::Tensor tensor(ov::element::u8, {1, 3, image.height, image.width});
    const std::size_t count = image.width * image.height;
    unsigned char* out = tensor.data<unsigned char>();
    for (std::size_t pixel = 0; pixel < count; ++pixel) {
        for (std::size_t colour = 0; colour < 3; ++colour) {
            out[colour * count + pixel] = image.pixels[3 * pixel + colour];
        }
    }
    return tensor;
}

// OpenVINO runs float32 in bf16 where it can, unless it is told the precision that the card says.
ov::AnyMap settings(const std::string& card) {
    for (const auto& [name, type] : {std::pair{"fp32", ov::element::f32}, std::pair{"bf16", ov::element::bf16}}) {
        if (card.find(std::string("\"precision\": \"") + name + "\"") != std::string::npos) {
            return {ov::hint::inference_precision(type)};
        }
    }
    return {};
}

}  // namespace

int main(int count, char** words) try {
    if (count != 4) {
        throw std::runtime_error("usage: segment FILE.xml IMAGE.ppm MASK.pgm");
    }
    ov::Core core;
    const auto model = core.read_model(words[1]);
    const auto card = model->get_rt_info<std::string>("kdseg");
    auto request = core.compile_model(model, "CPU", settings(card)).create_infer_request();

    const Image image = read_ppm(words[2]);
    request.set_input_tensor(planes(image));
    request.infer();
    const ov::Tensor classes = request.get_output_tensor();  // 1 × height × width

    std::ofstream mask(words[3], std::ios::binary);
    mask << "P5\n" << image.width << " " << image.height << "\n255\n";
    const auto* first = reinterpret_cast<const char*>(classes.data<unsigned char>());
    mask.write(first, static_cast<std::streamsize>(classes.get_size()));
    return mask ? 0 : 1;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
