/* SPDX-License-Identifier: Apache-2.0
 *
 * A preloaded library in which one name, receiver.test, has the address that a file says ($BELFRY_TEST_HOSTS), looked at anew
 * with each question: so a test moves a receiver to another address while the program runs. An empty file: the name cannot
 * be resolved now. Every other name, and whatever else is asked, is the system's. */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int getaddrinfo_fn(const char *node, const char *service, const struct addrinfo *hints,
                           struct addrinfo **found);

static int address(char *out, size_t n)
{
    const char *path = getenv("BELFRY_TEST_HOSTS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t got = fd >= 0 ? read(fd, out, n - 1) : 0;
    if (fd >= 0)
        (void)close(fd);
    out[got > 0 ? got : 0] = 0;
    return got > 0;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **found)
{
    getaddrinfo_fn *real = (getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    char now[64];
    if (!node || strcmp(node, "receiver.test") != 0 || (hints && hints->ai_flags & AI_NUMERICHOST))
        return real(node, service, hints, found);
    return address(now, sizeof(now)) ? real(now, service, hints, found) : EAI_AGAIN;
}
