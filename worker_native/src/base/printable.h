// Text from files as it may stand in a message on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace native {

// `text` with everything escaped that is no character to be shown: control characters (line ends among them),
// those that turn the direction of writing, and bytes that are no UTF-8. "\x1b[2J" becomes "\\x1b[2J".
std::string printable(std::string_view text);

}  // namespace native
