#define _GNU_SOURCE
#include "spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void die(const char *what) {
  perror(what);
  exit(1);
}

// ---- in the child, which shares the parent's memory until execve

struct handover {
  const struct child *child;
  int error;
};

static int child_main(void *argument) {
  struct handover *handover = argument;
  const struct child *child = handover->child;
  if (child->way == WAY_WINDOW) {
    int last = 2;
    for (int i = 0; i < 3; i++) {
      if (child->stdio[i] > last) last = child->stdio[i];
    }
    // The table is still the parent's: leave it with a copy that ends at the last one needed.
    if (syscall(SYS_close_range, last + 1, ~0U, CLOSE_RANGE_UNSHARE)) goto failed;
  }
  for (int i = 0; i < 3; i++) {
    if (child->stdio[i] >= 0 && dup2(child->stdio[i], i) < 0) goto failed;
  }
  if (child->way == WAY_MASKED) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
  }
  execve(child->argv[0], child->argv, environ);
failed:
  handover->error = errno;
  _exit(127);
}

// ---- in the parent

static pid_t start_by_clone(const struct child *child) {
  static __thread char stack[64 * 1024] __attribute__((aligned(16)));
  struct handover handover = {.child = child};
  int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  if (child->way == WAY_WINDOW) flags |= CLONE_FILES;
  sigset_t all, before;
  sigfillset(&all);
  if (child->way == WAY_MASKED) pthread_sigmask(SIG_BLOCK, &all, &before);
  pid_t pid = clone(child_main, stack + sizeof stack, flags, &handover);
  // Not until it has ended: a SIGCHLD that this thread blocks wakes another one.
  if (child->way == WAY_MASKED) pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (pid > 0 && handover.error) {
    errno = handover.error;
    return -1;
  }
  return pid;
}

static pid_t start_by_posix_spawn(const struct child *child) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; i++) {
    if (child->stdio[i] >= 0) posix_spawn_file_actions_adddup2(&actions, child->stdio[i], i);
  }
  pid_t pid;
  int error = posix_spawn(&pid, child->argv[0], &actions, NULL, child->argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (!error) return pid;
  errno = error;
  return -1;
}

pid_t start(const struct child *child) {
  pid_t pid = child->way == WAY_POSIX_SPAWN ? start_by_posix_spawn(child) : start_by_clone(child);
  if (pid < 0) die(child->argv[0]);
  return pid;
}

void wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) die("waitpid");
  }
  if (status == 0) return;
  fprintf(stderr, "The child's wait status is %x\n", status);
  exit(1);
}

void run(enum way way, const char *path) {
  char *argv[] = {(char *)path, NULL};
  struct child child = {way, argv, {-1, -1, -1}};
  wait_for(start(&child));
}

size_t capture(enum way way, const char *path, char *buffer, size_t length) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) die("pipe2");
  char *argv[] = {(char *)path, NULL};
  struct child child = {way, argv, {-1, ends[1], -1}};
  pid_t pid = start(&child);
  close(ends[1]);
  size_t total = 0;
  ssize_t got;
  while ((got = read(ends[0], buffer + total, length - total)) > 0) total += got;
  if (got < 0) die("read");
  close(ends[0]);
  wait_for(pid);
  return total;
}
