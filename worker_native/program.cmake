# The library `ggml_program`: recorded programs without Python, over the graphs of the extension. `llama` must be found.
include(${CMAKE_CURRENT_LIST_DIR}/graph_sources.cmake)

add_library(ggml_program STATIC
  ${GRAPH_SOURCES}
  ${CMAKE_CURRENT_LIST_DIR}/src/recorded/container.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/recorded/ggml_program.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/recorded/native_program.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/recorded/recording.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/recorded/wire.cpp)
# Its own sources need C++20; the header that it shows needs C++17.
set_target_properties(ggml_program PROPERTIES
  CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_include_directories(ggml_program
  PRIVATE ${CMAKE_CURRENT_LIST_DIR}/src
  INTERFACE ${CMAKE_CURRENT_LIST_DIR}/src/recorded)
target_link_libraries(ggml_program PRIVATE llama)
target_compile_options(ggml_program PRIVATE ${GRAPH_OPTIONS} -Wall -Wextra)
