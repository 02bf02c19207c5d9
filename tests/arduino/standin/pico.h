#define __uninitialized_ram(name) name
