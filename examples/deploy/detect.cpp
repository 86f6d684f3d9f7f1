// Faces in a photo with OpenCV's dnn module alone: what a deployment in C++ needs.
//
//     detect model.onnx photo.jpg [input size, default 640x480] [least score, default 0.3]
//
// prints a line for each face, best first: x1 y1 x2 y2 score, then x y of five landmarks where the detector has them. The
// file is one of `facenas export --format onnx` in fp32, without --decode; docs/outputs.md says what its outputs mean.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

namespace {

constexpr int kAnchors = 2;
constexpr int kLandmarks = 5;
constexpr float kMostOverlap = 0.45F;

struct Face {
    float x1, y1, x2, y2, score;
    std::vector<float> points;  // x and y of each landmark
};

// The photo, as large as fits, top-left in a black picture of that size; `scale`: by how much it was scaled.
cv::Mat letterbox(const cv::Mat& photo, cv::Size size, double& scale) {
    scale = std::min(double(size.width) / photo.cols, double(size.height) / photo.rows);
    const int columns = std::max(1, std::min(size.width, int(std::nearbyint(photo.cols * scale))));
    const int rows = std::max(1, std::min(size.height, int(std::nearbyint(photo.rows * scale))));
    const bool by_area = columns < 0.5 * photo.cols || rows < 0.5 * photo.rows;
    cv::Mat picture = cv::Mat::zeros(size, photo.type());
    cv::Mat scaled = picture(cv::Rect(0, 0, columns, rows));
    cv::resize(photo, scaled, scaled.size(), 0, 0, by_area ? cv::INTER_AREA : cv::INTER_LINEAR);
    return picture;
}

// Adds the faces of one level's map [1, channels, rows, columns] with at least that score.
void decode(const cv::Mat& map, int stride, float least_score, std::vector<Face>& faces) {
    const int channels = map.size[1], rows = map.size[2], columns = map.size[3], cells = rows * columns;
    const float* values = map.ptr<float>();
    for (int anchor = 0; anchor < kAnchors; ++anchor) {
        for (int cell = 0; cell < cells; ++cell) {
            const float score = 1 / (1 + std::exp(-values[anchor * cells + cell]));
            if (score < least_score) continue;
            const float x = float(cell % columns * stride), y = float(cell / columns * stride);
            const float* reach = values + (kAnchors + 4 * anchor) * cells + cell;
            Face face{x - reach[0] * stride, y - reach[cells] * stride, x + reach[2 * cells] * stride,
                      y + reach[3 * cells] * stride, score, {}};
            if (channels > 5 * kAnchors) {
                const float* offsets = values + (5 * kAnchors + 2 * kLandmarks * anchor) * cells + cell;
                for (int index = 0; index < 2 * kLandmarks; ++index) {
                    face.points.push_back((index % 2 ? y : x) + offsets[index * cells] * stride);
                }
            }
            if (face.x1 < face.x2 && face.y1 < face.y2) faces.push_back(face);
        }
    }
}

bool overlap(const Face& one, const Face& other) {
    const float width = std::min(one.x2, other.x2) - std::max(one.x1, other.x1);
    const float height = std::min(one.y2, other.y2) - std::max(one.y1, other.y1);
    const float common = std::max(width, 0.F) * std::max(height, 0.F);
    const auto area = [](const Face& face) { return (face.x2 - face.x1) * (face.y2 - face.y1); };
    return common > kMostOverlap * (area(one) + area(other) - common);
}

// The faces that overlap no better one too much, best first.
std::vector<Face> suppress(std::vector<Face> faces) {
    std::stable_sort(faces.begin(), faces.end(), [](const Face& a, const Face& b) { return a.score > b.score; });
    std::vector<Face> kept;
    for (const Face& face : faces) {
        const auto covers = [&face](const Face& better) { return overlap(better, face); };
        if (std::none_of(kept.begin(), kept.end(), covers)) kept.push_back(face);
    }
    return kept;
}

int run(int count, char** words) {
    cv::Size size(640, 480);
    if (count > 3 && std::sscanf(words[3], "%dx%d", &size.width, &size.height) != 2) {
        std::fprintf(stderr, "'%s' is no size such as 640x480\n", words[3]);
        return 2;
    }
    const float least_score = count > 4 ? std::strtof(words[4], nullptr) : 0.3F;
    const cv::Mat photo = cv::imread(words[2], cv::IMREAD_COLOR);
    if (photo.empty()) {
        std::fprintf(stderr, "%s is no photo that can be read\n", words[2]);
        return 2;
    }
    cv::dnn::Net network = cv::dnn::readNetFromONNX(words[1]);
    double scale = 1;
    const cv::Mat picture = letterbox(photo, size, scale);
    network.setInput(cv::dnn::blobFromImage(picture, 1 / 128.0, {}, cv::Scalar::all(127.5), true));
    std::vector<cv::Mat> maps;
    network.forward(maps, std::vector<cv::String>{"output_8", "output_16", "output_32"});
    std::vector<Face> faces;
    for (size_t level = 0; level < maps.size(); ++level) decode(maps[level], 8 << level, least_score, faces);
    for (const Face& face : suppress(faces)) {
        const auto clipped = [scale](float value, int side) { return std::clamp(value / scale, 0.0, double(side)); };
        std::printf("%.4f %.4f %.4f %.4f %.6f", clipped(face.x1, photo.cols), clipped(face.y1, photo.rows),
                    clipped(face.x2, photo.cols), clipped(face.y2, photo.rows), face.score);
        for (const float value : face.points) std::printf(" %.4f", value / scale);
        std::printf("\n");
    }
    return 0;
}

}  // namespace

int main(int count, char** words) {
    if (count < 3 || count > 5) {
        std::fprintf(stderr, "detect model.onnx photo.jpg [640x480] [0.3]\n");
        return 2;
    }
    try {
        return run(count, words);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
