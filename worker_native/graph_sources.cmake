# Native graphs and their kernels, and how they are compiled: for the extension of Python, and for what runs without it.
set(GRAPH_SOURCES
  ${CMAKE_CURRENT_LIST_DIR}/src/base/abort_guard.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/base/last_words.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/base/log.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/base/printable.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/base/process.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/device/buffer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/device/compute.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/device/device.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/graph.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/place.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/attention.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/elementwise.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/fourier.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/indices.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/memory.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/products.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/recurrent.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/registry.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/rows.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/site.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/spatial.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/primitives/training.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/program.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/run.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/turn.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/graph/work.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/adam.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/attend.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/bag.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/exp.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/fourier/recent_transforms.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/fourier/row_transform.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/fourier/rows.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/fourier/transform.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/lstm.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/map.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/move.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/multiply.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/norm.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/product.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/reduce.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/rotate.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/rows.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/scatter.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/spatial/arrange.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/spatial/convolve.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/spatial/resample.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/spatial/window.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/special.cpp)

# Nobody looks at the floating-point flags; without this a comparison keeps its loop from becoming vectors. For
# all files, and for the linker: at link time optimisation the strictest of them counts.
set(GRAPH_OPTIONS -fno-trapping-math)

# Sums of products round once for each product where the CPU can.
set_source_files_properties(
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/attend.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/exp.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/fourier/rows.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/fourier/transform.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/lstm.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/multiply.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/product.cpp
  ${CMAKE_CURRENT_LIST_DIR}/src/kernels/spatial/convolve.cpp
  PROPERTIES COMPILE_OPTIONS -ffp-contract=fast)

# Its roots are of what is never negative; without this each of them is taken alone.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/src/kernels/adam.cpp PROPERTIES COMPILE_OPTIONS -fno-math-errno)
