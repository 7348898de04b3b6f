# The program, the libraries, and what `make install` copies: headers, pkg-config and CMake package files.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_executable(your_ai src/cli/main.c)
target_link_libraries(your_ai PRIVATE ${YA_BELOW})
set_target_properties(your_ai PROPERTIES YA_STATIC_DEPS ${YA_STATIC_DEPS})

# The same program with nothing but libc at run time, whatever YA_STATIC_DEPS is: tests/cli/test_static_program.sh looks at it.
if(YA_ARCHIVED)
  add_executable(your_ai_static_deps src/cli/main.c)
  target_link_libraries(your_ai_static_deps PRIVATE ${YA_BELOW})
  set_target_properties(your_ai_static_deps PROPERTIES YA_STATIC_DEPS ON)
endif()

# The layers up to src/api, whole: no public function is left out because nothing here calls it.
set(YA_ARCHIVES)
foreach(layer IN LISTS YA_UPTO_api)
  list(APPEND YA_ARCHIVES $<TARGET_FILE:${layer}>)
endforeach()

# While the version is 0.x every minor version may break its callers, so the soname carries both numbers.
set(YA_SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
file(WRITE ${CMAKE_BINARY_DIR}/your_ai_shared.c "/* The library is made of the archives of src/. */\ntypedef int your_ai_shared;\n")
add_library(your_ai_shared SHARED ${CMAKE_BINARY_DIR}/your_ai_shared.c)
set_target_properties(your_ai_shared PROPERTIES OUTPUT_NAME your_ai VERSION ${PROJECT_VERSION} SOVERSION ${YA_SOVERSION}
                      YA_STATIC_DEPS ${YA_STATIC_DEPS} LINK_DEPENDS "${YA_ARCHIVES}")
add_dependencies(your_ai_shared ${YA_UPTO_api})
list(JOIN YA_ARCHIVES "," archives)
target_link_libraries(your_ai_shared PRIVATE "-Wl,--whole-archive,${archives},--no-whole-archive" ${YA_UPTO_api})
target_link_options(your_ai_shared PRIVATE -Wl,--exclude-libs,libjansson.a:libutf8proc.a:libz.a:libzstd.a)
if(NOT YA_SANITIZE)
  target_link_options(your_ai_shared PRIVATE -Wl,--no-undefined)
endif()

# One object of all archives, in which every name but ya_* becomes local: a host may have functions of any other name.
set(YA_STATIC_LIBRARY ${CMAKE_BINARY_DIR}/libyour_ai.a)
set(deps)
if(YA_STATIC_DEPS)
  set(deps ${YA_ARCHIVED})
endif()
add_custom_command(OUTPUT ${YA_STATIC_LIBRARY}
  COMMAND ${CMAKE_LINKER} -r -o your_ai.o --whole-archive ${YA_ARCHIVES} --no-whole-archive ${deps}
  COMMAND ${CMAKE_OBJCOPY} --wildcard --localize-hidden --keep-global-symbol=ya_* your_ai.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${YA_STATIC_LIBRARY}
  COMMAND ${CMAKE_AR} rcs ${YA_STATIC_LIBRARY} your_ai.o
  DEPENDS ${YA_UPTO_api} ${YA_ARCHIVES} WORKING_DIRECTORY ${CMAKE_BINARY_DIR} COMMENT "Linking libyour_ai.a" VERBATIM)
add_custom_target(your_ai_static ALL DEPENDS ${YA_STATIC_LIBRARY})

# Both kinds of package file find the installation from their own place, so that it can be moved and staged.
set(YA_REQUIRES_PRIVATE)
if(NOT YA_STATIC_DEPS)
  set(YA_REQUIRES_PRIVATE "jansson >= 2.13, libutf8proc, zlib, libzstd")
endif()
file(RELATIVE_PATH YA_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
file(RELATIVE_PATH YA_PREFIX_FROM_CMAKE /${CMAKE_INSTALL_LIBDIR}/cmake/your_ai /)
configure_file(cmake/your_ai.pc.in your_ai.pc @ONLY)
configure_file(cmake/your_ai-config.cmake.in your_ai-config.cmake @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/your_ai-config-version.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS your_ai RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS your_ai_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${YA_STATIC_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/your_ai.h include/your_ai_array.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/your_ai.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/your_ai-config.cmake ${CMAKE_BINARY_DIR}/your_ai-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/your_ai)
