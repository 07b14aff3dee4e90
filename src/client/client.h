/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands that speak to a running server: belfry target, dead-letter, backfill, import. They use its administration
 * interface (docs/admin.md), signed as AWS Signature Version 4 says, and need nothing of the store's folder. One thread. */
#ifndef BELFRY_CLIENT_CLIENT_H
#define BELFRY_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdio.h>

/* Is it the first word of such a command? */
bool client_knows(const char *word);
/* Runs it; argv[1] is that word. Returns the exit code: of base/program.h, EXIT_FAILED also when the server refuses or a target
 * does not work. */
int client_main(int argc, char **argv);
/* The page of `belfry help WORD`; false when it is none of these commands. */
bool client_help(FILE *f, const char *word);
/* One line per command, for the overview. */
void client_overview(FILE *f);

#endif
