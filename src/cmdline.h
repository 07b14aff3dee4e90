/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line, and the variables that stand in for it (MINIO_OPTS, MINIO_VOLUMES, MINIO_ADDRESS). Everything is
 * judged here before anything is opened; messages name what to write instead. */
#ifndef BELFRY_CMDLINE_H
#define BELFRY_CMDLINE_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/program.h"

enum command { COMMAND_SERVER, COMMAND_CHECK, COMMAND_HELP, COMMAND_VERSION, COMMAND_CRASH_POINTS };

struct cmdline {
    enum command command;
    char *topic;   /* help: NULL for the overview */
    char *dir;     /* server, check */
    char *address; /* NULL: not given anywhere */
    char *console_address, *certs_dir;
    bool json, quiet, help, version, crash_points;
    bool salvage, dry_run; /* check */
};

/* Strings are in the arena or are argv's own. False and err for anything that must be written differently. Not
 * thread-safe (getopt). */
bool cmdline_parse(struct arena *a, int argc, char **argv, struct cmdline *out, struct err *e);

/* Splits text into words as a shell would: blanks separate, '...' and "..." and backslash quote; no expansion. False
 * and err when a quote is not closed. *words is NULL-terminated, in the arena. Pure. */
bool cmdline_words(struct arena *a, const char *text, char ***words, size_t *n, struct err *e);
/* Is it host:port, :port or [v6]:port? Pure. */
bool cmdline_address_ok(const char *address, struct err *e);
/* Does the address stay on this machine: localhost, 127.x.x.x, [::1]? Pure. */
bool cmdline_is_loopback(const char *address);
/* Does the variable of this name (without MINIO_ or BELFRY_) stand in for a part of the command line? Pure. */
bool cmdline_reads(struct str name);
/* One line of help per flag. */
void cmdline_print_flags(FILE *f);

#endif
