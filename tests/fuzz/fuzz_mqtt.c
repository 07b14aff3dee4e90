/* SPDX-License-Identifier: Apache-2.0
 *
 * What an MQTT broker says, in packets and in WebSocket frames, and the URL in the settings. */
#include "fuzz.h"

#include "target/mqtt.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static void packets(struct str in)
{
    struct mqtt_packet p;
    for (size_t before = in.n; mqtt_take_packet(&in, &p) == MQTT_WHOLE; before = in.n)
        CHECK(in.n + 2 <= before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), rest = in;
    struct mqtt_address a;
    struct ws_frame f;
    struct err e = {0};
    if (mqtt_parse_url(in, &a, &e))
        CHECK(a.to.host[0] && a.to.port[0] && a.path[0] == '/');
    (void)mqtt_topic_ok(in);
    const struct mqtt_names names = {"h:1883", "x"};
    char why[SEND_WHY];
    mqtt_explain(&names, size > 0 ? data[0] : 0, why, sizeof(why));
    CHECK(strlen(why) > 0 && strlen(why) < sizeof(why) - 1);
    packets(in);
    for (size_t before = rest.n; ws_take_frame(&rest, &f) == MQTT_WHOLE; before = rest.n) {
        CHECK(rest.n + 2 + f.payload.n <= before && f.payload.n <= MQTT_FRAME_MAX);
        packets(f.payload);
    }
    rest = in;
    if (ws_take_reply(&rest, KEY, "h:80", &e) == MQTT_WHOLE)
        CHECK(rest.n < in.n);
    return 0;
}
