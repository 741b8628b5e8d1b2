// Starting a child and waiting for it, as near to the system calls as C gets.
#pragma once
#include <sys/types.h>

enum way {
  WAY_VFORK,  // clone(CLONE_VM | CLONE_VFORK), execve
  WAY_MASKED,  // the same, with signals blocked until there is a child: for a host that has handlers
  WAY_WINDOW,  // the first, and of the table of descriptors only the low part is copied
  WAY_POSIX_SPAWN,
};

struct child {
  enum way way;
  char **argv;
  int stdio[3];  // -1: inherited
};

void die(const char *what);
pid_t start(const struct child *child);
void wait_for(pid_t pid);
void run(enum way way, const char *path);

// Answers how many bytes the child wrote. They go into a buffer as long as those expected and a page.
size_t capture(enum way way, const char *path, char *buffer, size_t length);
