/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client_impl.h"

int command_import(struct client *c)
{
    (void)c;
    return EXIT_OK;
}
