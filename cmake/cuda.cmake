# The CUDA backend: kernels compiled to fatbins by nvcc and embedded into the program; the driver and cuBLASLt are opened at run
# time (src/backend/cuda/cuda_driver.h), so nothing of CUDA is linked.
#
# YA_CUDA=AUTO builds it where nvcc is and says which; ON makes a missing nvcc an error; OFF leaves it out.
# Sets YA_CUDA_BUILT, and YA_CUDA_SOURCES to what the backend layer gains.
set(YA_CUDA AUTO CACHE STRING "build the CUDA backend: AUTO, ON or OFF")
set_property(CACHE YA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(YA_CUDA_ARCHITECTURES "80;90a;100" CACHE STRING "compute capabilities that the kernels are compiled for")
set(YA_CUDA_BUILT FALSE)
set(YA_CUDA_SOURCES)

if(NOT YA_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "YA_CUDA is ${YA_CUDA}: AUTO, ON or OFF")
endif()
if(NOT YA_CUDA STREQUAL "OFF" AND NOT CMAKE_CROSSCOMPILING)
  find_program(YA_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(YA_NVCC)
    get_filename_component(ya_cuda_root ${YA_NVCC} REALPATH)
    get_filename_component(ya_cuda_root ${ya_cuda_root} DIRECTORY)
    find_path(YA_CUDA_INCLUDE cublasLt.h HINTS ${ya_cuda_root}/../include)
  endif()
  if(YA_NVCC AND YA_CUDA_INCLUDE)
    set(YA_CUDA_BUILT TRUE)
  elseif(YA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "YA_CUDA=ON needs nvcc (${YA_NVCC}) and cublasLt.h (${YA_CUDA_INCLUDE}): install the CUDA toolkit, "
                        "put nvcc on the PATH, or use YA_CUDA=OFF")
  endif()
endif()
if(YA_CUDA_BUILT)
  message(STATUS "CUDA: ${YA_NVCC}, for compute capabilities ${YA_CUDA_ARCHITECTURES}")
else()
  message(STATUS "CUDA: left out (YA_CUDA=${YA_CUDA})")
endif()

if(YA_CUDA_BUILT)
  file(GLOB ya_cu CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cuda/*.cu)
  file(GLOB ya_cuh CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/backend/cuda/*.cuh)
  set(ya_codes)
  foreach(arch IN LISTS YA_CUDA_ARCHITECTURES)
    list(APPEND ya_codes -gencode arch=compute_${arch},code=sm_${arch})
  endforeach()
  set(ya_fatbins)
  set(ya_blobs "#include \"backend/cuda/cuda_modules.h\"\n")
  set(ya_list)
  foreach(source IN LISTS ya_cu)
    get_filename_component(name ${source} NAME_WE)
    set(fatbin ${CMAKE_BINARY_DIR}/cuda/${name}.fatbin)
    add_custom_command(OUTPUT ${fatbin}
      COMMAND ${YA_NVCC} -fatbin -std=c++17 -O3 -I${CMAKE_SOURCE_DIR}/src ${ya_codes} -o ${fatbin} ${source}
      DEPENDS ${source} ${ya_cuh} ${CMAKE_SOURCE_DIR}/src/backend/cuda/cuda_args.h
      COMMENT "nvcc ${name}.cu" VERBATIM)
    list(APPEND ya_fatbins ${fatbin})
    string(APPEND ya_blobs "__asm__(\".section .rodata\\n.balign 16\\n${name}_fatbin:\\n.incbin \\\"${fatbin}\\\"\\n.previous\\n\");\n"
                           "extern const unsigned char ${name}_fatbin[];\n")
    string(APPEND ya_list "    {\"${name}\", ${name}_fatbin},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/cuda/cuda_modules.c @ONLY CONTENT "${ya_blobs}const struct cuda_module CUDA_MODULES[] = {
${ya_list}};
const int CUDA_MODULE_COUNT = (int)(sizeof(CUDA_MODULES) / sizeof(*CUDA_MODULES));
")
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/cuda)
  set_source_files_properties(${CMAKE_BINARY_DIR}/cuda/cuda_modules.c PROPERTIES OBJECT_DEPENDS "${ya_fatbins}")
  set(YA_CUDA_SOURCES ${CMAKE_BINARY_DIR}/cuda/cuda_modules.c)
endif()
