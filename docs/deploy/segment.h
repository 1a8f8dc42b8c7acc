// What a program around an exported file needs whatever runs the file: the image in, the mask out, a look at the card.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

struct Image {
    std::size_t width = 0, height = 0;
    std::vector<std::uint8_t> planes;  // 3 × height × width, red first
};

inline std::size_t read_number(std::istream& file) {
    while ((file >> std::ws).peek() == '#') {  // a comment
        file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    std::uint16_t number = 0;  // so small that no product of them overflows
    file >> number;
    return number;
}

// Reads a binary PPM, which has the three colours of a pixel together, into one plane for each colour.
inline Image read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error(path + ": cannot be opened");
    }
    std::string magic;
    file >> magic;
    Image image;
    image.width = read_number(file);
    image.height = read_number(file);
    if (read_number(file) != 255 || !file || magic != "P6") {
        throw std::runtime_error(path + ": is no binary PPM of 8 bits");
    }
    file.get();  // the one white space before the pixels
    const std::vector<char> pixels(std::istreambuf_iterator<char>(file), {});
    const std::size_t count = image.width * image.height;
    if (pixels.size() != 3 * count) {
        throw std::runtime_error(path + ": has " + std::to_string(pixels.size()) +
                                 " bytes of pixels where its size says " + std::to_string(3 * count));
    }
    image.planes.resize(3 * count);
    for (std::size_t pixel = 0; pixel < count; ++pixel) {
        for (std::size_t colour = 0; colour < 3; ++colour) {
            image.planes[colour * count + pixel] = static_cast<std::uint8_t>(pixels[3 * pixel + colour]);
        }
    }
    return image;
}

// Writes a binary PGM whose values are class indices.
inline void write_pgm(const std::string& path, const Image& image, const std::uint8_t* classes) {
    std::ofstream file(path, std::ios::binary);
    file << "P5\n" << image.width << " " << image.height << "\n255\n";
    file.write(reinterpret_cast<const char*>(classes), static_cast<std::streamsize>(image.width * image.height));
    if (!file.flush()) {
        throw std::runtime_error(path + ": cannot be written");
    }
}

// Gives an entry of the card as it stands there, such as "fp32" with its quotes, or [512, 1024]. The lists of classes
// and colours need a library for JSON.
inline std::string entry(const std::string& card, const std::string& key) {
    const std::string name = "\"" + key + "\": ";
    const std::size_t found = card.find(name);
    if (found == std::string::npos) {
        throw std::runtime_error("the card has no " + key);
    }
    const std::size_t start = found + name.size();
    return card.substr(start, std::min(card.find(", \"", start), card.find('}', start)) - start);
}

// Refuses a file that gives no classes, or takes no image of this size.
inline void check(const std::string& file, const std::string& card, const Image& image) {
    if (entry(card, "output") != "\"classes\"") {
        throw std::runtime_error(file + ": gives " + entry(card, "output") + "; export it without --logits");
    }
    const std::string wanted = entry(card, "size");
    const std::string size = "[" + std::to_string(image.height) + ", " + std::to_string(image.width) + "]";
    if (wanted != "null" && wanted != size) {
        throw std::runtime_error(file + ": takes images of height and width " + wanted + "; this one has " + size);
    }
}
