/* SPDX-License-Identifier: Apache-2.0
 *
 * A restart: the process runs its program anew, with the same arguments, environment and process id. So a supervisor sees
 * nothing of it, and a program that was replaced meanwhile is the new one. */
#ifndef BELFRY_RESTART_H
#define BELFRY_RESTART_H

/* Keeps what is needed; before anything changes argv (getopt does). */
void restart_prepare(int argc, char **argv);
/* Runs the program anew; every file is closed by that (all are close-on-exec), blocked signals that wait go on waiting.
 * Returns only when it could not. May be called in a signal handler. */
void restart_now(void);

#endif
