/* Preloaded, it tells a program another time of day: off by the seconds in the file that CLOCK_OFFSET names, read anew
 * each time. The monotonic clock stays. Waits until a time of day (those after 2001) end when that clock shows it.
 * libfaketime 0.9.10 does the same, but its clock_nanosleep fails now and then with EINVAL in Python's time.sleep.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static time_t offset(void) {
    char text[32] = "";
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atoll(text);
}

static struct timespec then(const struct timespec *until) {
    struct timespec moment = *until;
    if (moment.tv_sec > 1000000000) moment.tv_sec -= offset();
    return moment;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = REAL(clock_gettime)(clock, now);
    if (!status && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int status = REAL(gettimeofday)(now, zone);
    if (!status) now->tv_sec += offset();
    return status;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict met, pthread_mutex_t *restrict lock,
                           const struct timespec *restrict until) {
    struct timespec moment = then(until);
    return REAL(pthread_cond_timedwait)(met, lock, &moment);
}

int sem_timedwait(sem_t *restrict free_, const struct timespec *restrict until) {
    struct timespec moment = then(until);
    return REAL(sem_timedwait)(free_, &moment);
}
