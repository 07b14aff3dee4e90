/* SPDX-License-Identifier: Apache-2.0
 *
 * The program: command line, wiring, signals. */
int main(void)
{
    return 0;
}
