// liburing sets _XOPEN_SOURCE, which clashes with Glibc's own module: features first.
#pragma once
#include <features.h>
#include <liburing.h>
