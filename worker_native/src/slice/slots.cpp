#include "slice/slots.h"

#include "base/check.h"

namespace native {

int32_t Slots::check(const char* what, int64_t slot) const {
    return in_range(what, slot, 0, num_slots() - 1);
}

void Slots::add_picture(int32_t slot, const Picture& picture) {
    auto& pictures = pictures_[slot];
    if (pictures.empty() || pictures.back() != picture) pictures.push_back(picture);
}

void Slots::set_length(int32_t slot, int32_t length) {
    lengths_[slot] = length;
    std::erase_if(pictures_[slot], [&](const Picture& picture) { return picture.first >= length; });
}

void Slots::copy(int32_t from, int32_t to, int32_t length) {
    pictures_[to] = pictures_[from];
    set_length(to, length);
}

int32_t Slots::position(int32_t slot, int32_t row) const {
    int32_t position = row;
    for (const Picture& picture : pictures_[slot]) {
        if (picture.first >= row) break;
        position -= std::min(row, picture.end()) - picture.first;
        if (picture.end() <= row) position += picture.num_positions();
    }
    return position;
}

int32_t Slots::next_position(int32_t slot) const {
    const Picture* picture = unfinished(slot);
    return position(slot, picture ? picture->end() : length(slot));
}

const Picture* Slots::unfinished(int32_t slot) const {
    const auto& pictures = pictures_[slot];
    return pictures.empty() || pictures.back().end() <= length(slot) ? nullptr : &pictures.back();
}

bool Slots::is_within_picture(int32_t slot, int32_t length) const {
    if (length == this->length(slot)) return false;
    return std::ranges::any_of(pictures_[slot], [&](const Picture& picture) {
        return picture.first < length && length < picture.end();
    });
}

}  // namespace native
