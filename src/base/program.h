/* SPDX-License-Identifier: Apache-2.0
 *
 * What all commands of the program share. */
#ifndef BELFRY_BASE_PROGRAM_H
#define BELFRY_BASE_PROGRAM_H

#define DEFAULT_PORT "9000"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,    /* what fits none of the others; check: the store is damaged */
    EXIT_USAGE = 2,     /* bad flag or variable: the command line or the environment must change */
    EXIT_LISTEN = 3,    /* port taken, address not ours, bad certificate */
    EXIT_DIRECTORY = 4, /* not writable, in use, of another format, damaged */
};

#endif
