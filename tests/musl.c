/*
 * A child on musl, for tests/host/musl_test.ts: tools/musl.mjs builds it static and dynamic.
 *
 *     musl args ARG...      argv, a line each
 *     musl cat              stdin to stdout, by stdio
 *     musl signals          the signals that were blocked and ignored at the start, as /proc has them
 *     musl threads          cancels four threads and sets the ids of the whole process, which take signals
 *                           33 and 34; "4 cancelled"
 *     musl shell COMMAND    system(3); exits as the command does
 *     musl kill N           sends itself signal N, and then exits 0
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *sleeper(void *unused) {
    for (;;) pause();
    return unused;
}

static int threads(void) {
    enum { count = 4 };
    pthread_t list[count];
    int cancelled = 0;
    for (int index = 0; index < count; index++) {
        if (pthread_create(&list[index], NULL, sleeper, NULL) != 0) return 1;
    }
    if (setgid(getgid()) != 0 || setuid(getuid()) != 0) return 2;
    for (int index = 0; index < count; index++) {
        void *result = NULL;
        if (pthread_cancel(list[index]) != 0 || pthread_join(list[index], &result) != 0) return 3;
        cancelled += result == PTHREAD_CANCELED;
    }
    printf("%d cancelled\n", cancelled);
    return 0;
}

static int signals(void) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return 1;
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0) fputs(line, stdout);
    }
    return fclose(status) == 0 ? 0 : 1;
}

static int cat(void) {
    static char buffer[10000];
    size_t size;
    while ((size = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        if (fwrite(buffer, 1, size, stdout) != size) return 1;
    }
    return fflush(stdout) == 0 && !ferror(stdin) ? 0 : 1;
}

int main(int count, char **arguments) {
    const char *verb = count > 1 ? arguments[1] : "";
    if (strcmp(verb, "args") == 0) {
        for (int index = 0; index < count; index++) puts(arguments[index]);
        return 0;
    }
    if (strcmp(verb, "cat") == 0) return cat();
    if (strcmp(verb, "signals") == 0) return signals();
    if (strcmp(verb, "threads") == 0) return threads();
    if (strcmp(verb, "kill") == 0 && count > 2) return kill(getpid(), atoi(arguments[2]));
    if (strcmp(verb, "shell") == 0 && count > 2) {
        int status = system(arguments[2]);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    return 64;
}
