// Segments an image with a file of `kdseg export --to onnx`: segment student-fp32.onnx street.ppm mask.pgm
// The image is a binary PPM, the mask a binary PGM whose values are class indices.

#include <array>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>

#include <onnxruntime_cxx_api.h>

#include "segment.h"

namespace {

std::string read_card(const std::string& file, const Ort::Session& session) {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto card = session.GetModelMetadata().LookupCustomMetadataMapAllocated("kdseg", allocator);
    if (!card) {
        throw std::runtime_error(file + ": was not written by kdseg export");
    }
    return card.get();
}

}  // namespace

int main(int count, char** words) try {
    if (count != 4) {
        throw std::runtime_error("usage: segment FILE.onnx IMAGE.ppm MASK.pgm");
    }
    if (!OrtGetApiBase()->GetApi(ORT_API_VERSION)) {  // which everything below would call through
        throw std::runtime_error("libonnxruntime is older than the headers that this was compiled with");
    }
    const std::string file = words[1];
    const Ort::Env env(ORT_LOGGING_LEVEL_ERROR);
    Ort::Session session(env, std::filesystem::path(file).c_str(), Ort::SessionOptions());
    const std::string card = read_card(file, session);

    Image image = read_ppm(words[2]);
    check(file, card, image);
    const std::array<std::int64_t, 4> shape{1, 3, static_cast<std::int64_t>(image.height),
                                            static_cast<std::int64_t>(image.width)};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
    const auto images = Ort::Value::CreateTensor<std::uint8_t>(memory, image.planes.data(), image.planes.size(),
                                                               shape.data(), shape.size());
    const char* inputs[] = {"images"};
    const char* outputs[] = {"classes"};  // 1 × height × width
    const auto found = session.Run(Ort::RunOptions(), inputs, &images, 1, outputs, 1);
    write_pgm(words[3], image, found[0].GetTensorData<std::uint8_t>());
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
}
