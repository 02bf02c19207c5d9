#include "version.h"

const char *const reset_words[] = { "power-on", "external", "software", "watchdog", "exception", "wake" };
