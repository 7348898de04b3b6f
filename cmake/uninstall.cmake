# Removes from PREFIX (below DESTDIR, if that is set in the environment) what `make install` puts there:
#   cmake -DBUILD=build -DPREFIX=/usr/local -P cmake/uninstall.cmake
# What that is is asked of the installation itself, by staging one, so no list has to be kept from the day of installation.
set(stage ${BUILD}/uninstall-stage)
get_filename_component(stage ${stage} ABSOLUTE)
file(REMOVE_RECURSE ${stage})
execute_process(COMMAND ${CMAKE_COMMAND} -E env DESTDIR=${stage} ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}
                OUTPUT_QUIET RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "nothing was removed: ${BUILD} holds no finished build")
endif()
file(GLOB_RECURSE names RELATIVE ${stage} ${stage}/*)
foreach(name IN LISTS names)
  set(path $ENV{DESTDIR}/${name})
  if(EXISTS ${path} OR IS_SYMLINK ${path})
    message(STATUS "Removing: ${path}")
    file(REMOVE ${path})
  endif()
endforeach()
# The one folder that is ours alone, if nobody has put something else there.
file(GLOB_RECURSE folders LIST_DIRECTORIES true RELATIVE ${stage} ${stage}/*)
list(FILTER folders INCLUDE REGEX "/cmake/your_ai$")
foreach(folder IN LISTS folders)
  file(GLOB left $ENV{DESTDIR}/${folder}/*)
  if(NOT left)
    file(REMOVE_RECURSE $ENV{DESTDIR}/${folder})
  endif()
endforeach()
file(REMOVE_RECURSE ${stage})
