/* SPDX-License-Identifier: Apache-2.0
 *
 * What the targets that are databases (postgresql, mysql) have in common: how they show what a server says, and the CA
 * certificates as a file, as their libraries want them. */
#ifndef BELFRY_TARGET_SQL_H
#define BELFRY_TARGET_SQL_H

#include "base/err.h"
#include "base/str.h"

/* Who answers, for messages. */
struct sql_names {
    const char *shown;  /* host:port */
    const char *kind;   /* "POSTGRES": as in the names of variables */
    const char *id;     /* of the target, for the name of a variable */
    const char *table;  /* as in the settings */
    const char *secret; /* the password: what contains it is shown without; "" or NULL: there is none */
};

/* What an error means: the first row whose code begins the error's (NULL: any; "": it has none) and whose part its text has (NULL: any). */
struct sql_advice {
    const char *code, *part;
    const char *advice;
    const char *variable; /* the setting to change; NULL: none of ours */
};

/* A server's text for messages: its first lines as one, cut at n, control characters and the secret replaced. */
void sql_shown(struct str text, const char *secret, char *out, size_t n);
/* why: "host:port answered 'text': advice (VARIABLE)". rows end with one without advice. */
void sql_explain(const struct sql_names *names, const struct sql_advice *rows, const char *code,
                 struct str text, char *why, size_t why_n);
/* The name of a setting's variable: MINIO_NOTIFY_POSTGRES_TABLE_id. */
void sql_variable(const struct sql_names *names, const char *setting, char *out, size_t n);

#define SQL_CA_PATH 32
/* The system's CA certificates and those of ca_pem in one file without a name, which `path` leads to while the descriptor is
 * open. -1 and err. */
int sql_ca_file(struct str ca_pem, char path[SQL_CA_PATH], struct err *e);

#endif
