/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the tables of keys that many kinds of targets have alike. The settings of a kind begin with struct
 * target_common, so the place of what the core reads is the same in all of them. */
#ifndef BELFRY_TARGET_KEYS_H
#define BELFRY_TARGET_KEYS_H

#include <stddef.h>

#include "target/target.h"

#define TARGET_KEY_QUEUE_DIR \
    { \
        .name = "queue_dir", .type = CONFIG_PATH, .offset = offsetof(struct target_common, queue_dir), \
        .help = TARGET_HELP_QUEUE_DIR, .note = TARGET_NOTE_QUEUE_DIR \
    }
#define TARGET_KEY_QUEUE_LIMIT \
    { \
        .name = "queue_limit", .type = CONFIG_NUMBER, .offset = offsetof(struct target_common, queue_limit), \
        .fallback = "0", .help = TARGET_HELP_QUEUE_LIMIT, .note = TARGET_NOTE_QUEUE_LIMIT \
    }
#define TARGET_KEY_COMMENT \
    { \
        .name = "comment", .type = CONFIG_SENTENCE, .offset = offsetof(struct target_common, comment), \
        .help = TARGET_HELP_COMMENT \
    }
/* Ours: MinIO has not got them. */
#define TARGET_KEY_QUEUE_FULL \
    { \
        .name = "queue_full", .type = CONFIG_CHOICE, .flags = CONFIG_OURS, \
        .offset = offsetof(struct target_common, queue_full), .fallback = "drop", .choices = "drop|reject", \
        .help = TARGET_HELP_QUEUE_FULL \
    }
#define TARGET_KEY_DEAD_LETTER_LIMIT \
    { \
        .name = "dead_letter_limit", .type = CONFIG_NUMBER, .flags = CONFIG_OURS, \
        .offset = offsetof(struct target_common, dead_letter_limit), .fallback = "0", \
        .help = TARGET_HELP_DEAD_LETTER_LIMIT \
    }
/* An int of the kind's own settings: 0 is namespace, 1 access. */
#define TARGET_KEY_FORMAT(place) \
    { \
        .name = "format", .type = CONFIG_CHOICE, .flags = CONFIG_REQUIRED, .offset = (place), \
        .fallback = "namespace", .choices = "namespace|access", .help = TARGET_HELP_FORMAT \
    }

#endif
