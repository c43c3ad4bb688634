// Programs of `.ggp` files in C++: load, run, outputs, state. No Python, and no header of ggml, is needed.
//
//     ggml_program::Program program = ggml_program::Program::load("model.ggp");
//     std::vector<ggml_program::Array> results = program.run({{"x", ggml_program::DType::float32, {1, 6},
//     x.data()}});
//
// A file runs the shapes that were recorded in it (`program.record(...)` in Python). Extents are in PyTorch's
// order, outermost first; elements are in row-major order without gaps. Every failure is an `Error`. C++17.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#if defined(_WIN32)
#define GGML_PROGRAM_API
#else
#define GGML_PROGRAM_API __attribute__((visibility("default")))
#endif

namespace ggml_program {

// A bool is one byte, 0 or 1.
enum class DType { float32, float16, bfloat16, int32, int64, boolean };

GGML_PROGRAM_API const char* name_of(DType dtype);  // as PyTorch writes it: "float32", "bool"
GGML_PROGRAM_API size_t item_bytes(DType dtype);

// What went wrong, in one line: what, why, and what to do.
class GGML_PROGRAM_API Error : public std::runtime_error {
  public:
    enum class Kind {
        file,       // it cannot be opened, or a field of it is not sound
        arguments,  // the caller's: a name, a dtype, a shape that was not recorded
        memory,     // not enough of it
        data,       // an index out of range or a division by zero, found while computing
        runtime,    // anything else
    };
    Error(Kind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
    const Kind kind;
};

// A tensor before any call.
struct Spec {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;

    GGML_PROGRAM_API size_t num_elements() const;
    size_t num_bytes() const { return num_elements() * item_bytes(dtype); }
    GGML_PROGRAM_API std::string text() const;  // "x float32 (1, 6)"
};

// What a call of one recorded shape takes, and gives.
struct Signature {
    std::vector<Spec> inputs, outputs;
};

// Elements of the caller's, which are read during the call only, and stay what they are.
struct Input {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    const void* data;
};

// A result, which owns its memory together with its copies.
struct Array {
    Spec spec;
    std::shared_ptr<const void> memory;

    template <class T>
    const T* data() const {
        return static_cast<const T*>(memory.get());
    }
};

// The bytes of a tensor, which stay where they are as long as `owner` lives.
struct Bytes {
    const void* data = nullptr;
    size_t num_bytes = 0;
    std::shared_ptr<const void> owner;
};

// The bytes of a tensor by name; without `data` if there is none.
using Find = std::function<Bytes(const std::string& name)>;

// Threads for all programs of this process; at first as many as the machine has. Error for less than 1, or
// more than 512.
GGML_PROGRAM_API void set_num_threads(int num_threads);

// A program with its weights, which lie in the mapped file, and the values of its states. It can be moved.
// Calls from several threads take turns. A native graph is built at the first call of each shape, and kept.
class GGML_PROGRAM_API Program {
  public:
    // The file may be replaced while it is mapped, but not cut short.
    static Program load(const std::string& path);
    // Recordings (the message of protos/program.proto) whose tensors lie elsewhere, such as in a delegate's
    // data.
    static Program of_bytes(std::string_view recordings, const Find& find);

    Program(Program&&) noexcept;
    Program& operator=(Program&&) noexcept;
    ~Program();

    const std::vector<Signature>& signatures() const;
    // Builds the native graph of a signature now, which its first call would do. Error where it is not sound.
    void prepare(size_t signature);
    const std::vector<Spec>& states() const;

    // The outputs in order, for inputs in any order, each given once. The states have their new values
    // afterwards; if the call fails, they have those from before, save for rows that it wrote in place.
    std::vector<Array> run(const std::vector<Input>& inputs);

    Array state(const std::string& name) const;
    void set_state(const Input& value);
    void reset();  // every state as it was in the file

  private:
    class Impl;
    explicit Program(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace ggml_program
