/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the server itself, out of the environment: credentials, region, names. One table row per variable; every
 * MINIO_ name also as BELFRY_, which wins. Those of targets are in the tables of target/. */
#ifndef BELFRY_SETTINGS_H
#define BELFRY_SETTINGS_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"

#define DEFAULT_CREDENTIAL "minioadmin"

struct settings {
    char *root_user, *root_password;
    bool default_credentials; /* none were given, or exactly those */
    char *region;             /* "": clients may name any */
    char *server_url;         /* "" or http(s)://host[:port] without a slash at the end */
    char *domain;             /* "" or names in lower case, separated by commas */
    char *cors_origins;       /* "*", or origins with wildcards, separated by commas */
    int64_t disk_reserve;     /* bytes, of its variable; -1: not set */
    bool metrics_public;      /* metrics need no token */
};

/* Reads and judges all of them; strings are in the arena. False and err that names the variable and what it should be.
 * Warnings go to the log. Before threads start. */
bool settings_load(struct arena *a, struct settings *out, struct err *e);
/* Is this the name of one of them (without MINIO_ or BELFRY_)? Pure. */
bool settings_reads(struct str name);
/* One paragraph of help per variable. */
void settings_print_help(FILE *f);

#endif
