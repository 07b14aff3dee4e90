/* SPDX-License-Identifier: Apache-2.0
 *
 * The running server: its parts put together, its signals, its end. */
#ifndef BELFRY_SERVER_H
#define BELFRY_SERVER_H

#include "cmdline.h"
#include "settings.h"

/* Runs until SIGTERM or SIGINT; an exit_code. The main thread, after log_init, before any other thread is there. */
int server_run(const struct cmdline *c, const struct settings *s);

#endif
