# SPDX-License-Identifier: MIT
#
# What `cmake --install` writes: headers, libraries, a pkg-config file and a CMake package.

if(NOT GROVE_INSTALL)
	return()
endif()

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/grove")

set(targets grove)
if(GROVE_BUILD_STATIC)
	list(APPEND targets grove_static)
endif()
install(TARGETS ${targets} EXPORT groveTargets
	LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
	ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
	INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
	FILES_MATCHING PATTERN "*.h")

install(EXPORT groveTargets NAMESPACE grove:: DESTINATION "${package_dir}")
configure_package_config_file(cmake/groveConfig.cmake.in
	"${PROJECT_BINARY_DIR}/groveConfig.cmake" INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a new minor version may break programs.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/groveConfigVersion.cmake"
	COMPATIBILITY SameMinorVersion)
install(FILES
	"${PROJECT_BINARY_DIR}/groveConfig.cmake"
	"${PROJECT_BINARY_DIR}/groveConfigVersion.cmake"
	DESTINATION "${package_dir}")

# ${pcfiledir} lets the installed tree be moved; an absolute folder stays what it is.
function(grove_pc_path result folder)
	if(IS_ABSOLUTE "${folder}")
		set(${result} "${folder}" PARENT_SCOPE)
	else()
		set(${result} "\${prefix}/${folder}" PARENT_SCOPE)
	endif()
endfunction()
grove_pc_path(GROVE_PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
grove_pc_path(GROVE_PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
# Spelled out and not as Requires.private, for which programs that use the shared library would
# need the development files of its dependencies.
list(JOIN GROVE_URCU_STATIC_LDFLAGS " " urcu_libs)
list(JOIN GROVE_CK_STATIC_LDFLAGS " " ck_libs)
set(GROVE_PC_LIBS_PRIVATE "${urcu_libs} ${ck_libs} -pthread")
configure_file(cmake/grove.pc.in "${PROJECT_BINARY_DIR}/grove.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/grove.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
