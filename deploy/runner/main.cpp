// ggml-run: a recorded program (.ggp) on arrays of NumPy, without Python.
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ggml_program.h"
#include "npy.h"

namespace {

using ggml_program::Array;
using ggml_program::Error;
using ggml_program::Input;
using ggml_program::Program;
using ggml_program::Spec;

constexpr const char* usage =
    "usage: ggml-run FILE.ggp [--input NAME=F.npy]... [--output FOLDER] [--repeat N] [--time] [--threads N] "
    "[--list]\n"
    "\n"
    "  --input NAME=F.npy  an input from a file of NumPy\n"
    "  --output FOLDER     writes each output of the last call as NAME.npy\n"
    "  --repeat N          calls; states keep their values from one to the next\n"
    "  --time              prints the milliseconds of the fastest call, and of the mean\n"
    "  --threads N         threads; at first as many as the machine has\n"
    "  --list              prints what was recorded, and computes nothing\n";

struct Options {
    std::string file, output;
    std::vector<std::pair<std::string, std::string>> inputs;
    int repeat = 1, threads = 0;
    bool is_timed = false, is_list = false, is_help = false;
};

[[noreturn]] void refuse(const std::string& why) {
    throw Error(Error::Kind::arguments, why + "; see ggml-run --help");
}

int number_of(const std::string& name, const std::string& text) {
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || value < 1 || value > 1000000000)
        refuse(name + ": '" + text + "' is no count");
    return static_cast<int>(value);
}

Options parsed(const std::vector<std::string>& arguments) {
    Options options;
    for (size_t i = 0; i < arguments.size(); ++i) {
        const std::string& name = arguments[i];
        const auto value = [&]() -> const std::string& {
            if (++i == arguments.size()) refuse(name + ": its value is missing");
            return arguments[i];
        };
        if (name == "--input") {
            const std::string& pair = value();
            const size_t sign = pair.find('=');
            if (sign == std::string::npos) refuse("--input: must be NAME=F.npy, not '" + pair + "'");
            options.inputs.emplace_back(pair.substr(0, sign), pair.substr(sign + 1));
        } else if (name == "--output") {
            options.output = value();
        } else if (name == "--repeat") {
            options.repeat = number_of(name, value());
        } else if (name == "--threads") {
            options.threads = number_of(name, value());
        } else if (name == "--time") {
            options.is_timed = true;
        } else if (name == "--list") {
            options.is_list = true;
        } else if (name == "--help" || name == "-h") {
            options.is_help = true;
        } else if (name.rfind("--", 0) == 0 || !options.file.empty()) {
            refuse("'" + name + "' is not understood");
        } else {
            options.file = name;
        }
    }
    if (options.file.empty() && !options.is_help) refuse("a file is missing");
    return options;
}

void list(const Program& program) {
    for (const ggml_program::Signature& signature : program.signatures()) {
        std::printf("recorded\n");
        for (const Spec& spec : signature.inputs) std::printf("  input   %s\n", spec.text().c_str());
        for (const Spec& spec : signature.outputs) std::printf("  output  %s\n", spec.text().c_str());
    }
    for (const Spec& spec : program.states()) std::printf("state     %s\n", spec.text().c_str());
}

// A name as a file may have it: outputs are named by whoever made the program.
std::string file_name(const std::string& name, size_t place) {
    for (char c : name)
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-')
            return std::to_string(place);
    return name.empty() ? std::to_string(place) : name;
}

void write(const std::string& folder, const std::vector<Array>& arrays) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) throw Error(Error::Kind::file, folder + ": " + error.message());
    for (size_t i = 0; i < arrays.size(); ++i) {
        std::string name = file_name(arrays[i].spec.name, i);
        for (size_t k = 0; k < i; ++k)  // the same result may be given twice
            if (arrays[k].spec.name == arrays[i].spec.name) name = std::to_string(i);
        write_npy(folder + "/" + name + ".npy", arrays[i]);
    }
}

void run(const Options& options) {
    if (options.is_help) {
        std::fputs(usage, stdout);
        return;
    }
    if (options.threads > 0) ggml_program::set_num_threads(options.threads);
    Program program = Program::load(options.file);
    if (options.is_list) return list(program);
    std::vector<NpyArray> arrays;
    std::vector<Input> inputs;
    for (const auto& [name, path] : options.inputs) arrays.push_back(read_npy(path));
    for (size_t i = 0; i < arrays.size(); ++i)
        inputs.push_back(
            {options.inputs[i].first, arrays[i].dtype, arrays[i].shape, arrays[i].elements.data()});
    std::vector<Array> results;
    double fastest_ms = 1e300, total_ms = 0;
    for (int i = 0; i < options.repeat; ++i) {
        const auto start = std::chrono::steady_clock::now();
        results = program.run(inputs);
        const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
        total_ms += spent.count();
        fastest_ms = spent.count() < fastest_ms ? spent.count() : fastest_ms;
    }
    for (const Array& array : results) std::printf("%s\n", array.spec.text().c_str());
    if (options.is_timed)
        std::printf("%.3f ms fastest, %.3f ms mean\n", fastest_ms, total_ms / options.repeat);
    if (!options.output.empty()) write(options.output, results);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run(parsed({argv + 1, argv + argc}));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ggml-run: %s\n", error.what());
        return 1;
    }
}
