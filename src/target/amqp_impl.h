/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up amqp: frames, the session they belong to, and the connection under it. */
#ifndef BELFRY_TARGET_AMQP_IMPL_H
#define BELFRY_TARGET_AMQP_IMPL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "target/amqp.h"
#include "target/dial.h"

#define RABBIT_IN_FLIGHT  1000
#define RABBIT_FRAME_MIN  4096 /* that every peer takes before it is agreed upon, and at least afterwards */
#define RABBIT_FRAME_MAX  (128u << 10)
#define RABBIT_EVENT_MAX  (1u << 20)
#define RABBIT_OUT_MAX    (64u << 20)
#define RABBIT_CONNECT_MS 5000
#define RABBIT_CHANNEL    1

/* --- amqp_frame.c: bytes of frames, pure ---------------------------------------------------------------------------- */

enum rabbit_frame_type { RABBIT_METHOD = 1, RABBIT_HEADER = 2, RABBIT_BODY = 3, RABBIT_HEARTBEAT = 8 };
struct rabbit_frame {
    uint8_t type;
    uint16_t channel;
    struct str payload; /* view */
};
enum rabbit_taken {
    RABBIT_MORE,
    RABBIT_TAKEN,
    RABBIT_BROKEN
}; /* not whole yet; off the front of *in; none */
enum rabbit_taken rabbit_frame_take(struct str *in, size_t frame_max, struct rabbit_frame *out);
void rabbit_frame_put(struct buf *out, enum rabbit_frame_type type, unsigned channel, struct str payload);
/* A method as librabbitmq's struct of it; id: its AMQP_..._METHOD. */
void rabbit_method_put(struct buf *out, unsigned channel, uint32_t id, void *method);
/* The header of an event's content: size of the body, two headers, content type, delivery mode, number of the event. */
void rabbit_header_put(struct buf *out, unsigned channel, const struct event_ref *ev, size_t size,
                       unsigned delivery_mode);
/* The content header of a returned message: size of its body, and the number that rabbit_header_put gave it (0: none of
 * ours). */
bool rabbit_header_take(struct str payload, uint64_t *size, uint64_t *sequencer);
/* Does connection.start (its arguments) offer this way of logging in? False and offered, all that it offers. */
bool rabbit_start_offers(struct str args, const char *mechanism, struct str *offered);

/* --- amqp_session.c: publishes and confirms, pure ----------------------------------------------------------------------- */

enum rabbit_state { /* what is awaited */
                    RABBIT_START,
                    RABBIT_TUNE,
                    RABBIT_OPEN_OK,
                    RABBIT_CHANNEL_OK,
                    RABBIT_DECLARE_OK,
                    RABBIT_SELECT_OK,
                    RABBIT_READY, /* confirms */
                    RABBIT_LOST,  /* nothing any more: `lost` says why */
};
struct rabbit_flight { /* a place */
    const struct event_ref *ev;
    uint64_t tag;
    size_t size; /* of the body */
    int64_t deadline_ms;
    bool busy;     /* published, not confirmed */
    bool returned; /* no queue got it */
    bool judged;   /* its outcome waits for poll */
    bool cut;      /* judged because the connection was lost */
    enum send_result result;
};
struct rabbit_session {
    const struct rabbit_conf *conf;
    const struct rabbit_address *address;
    struct rabbit_names names;
    enum rabbit_state state;
    size_t frame_max;
    unsigned heartbeat_s;
    struct buf out;    /* whole frames to be written */
    struct buf method; /* the frame of basic.publish, which is always the same */
    struct buf body;
    uint64_t last_tag;
    bool greeted; /* a frame has come */
    bool blocked; /* an alarm: it takes nothing now */
    char blocked_why[128], lost[SEND_WHY], returned_text[64];
    bool returning; /* the content of a basic.return follows: its header, then body_left bytes */
    bool in_body;
    uint64_t body_left;
    struct rabbit_flight flight[RABBIT_IN_FLIGHT];
    unsigned order[RABBIT_IN_FLIGHT]; /* places that are busy, by their tags */
    size_t n_order;
    unsigned judged[RABBIT_IN_FLIGHT]; /* places that wait for poll */
    size_t n_judged;
    int64_t look_ms; /* no deadline of what is busy is before */
};

/* conf, address and names are set by the caller, who keeps them. */
void rabbit_session_init(struct rabbit_session *s);
void rabbit_session_release(struct rabbit_session *s);
/* A new connection: forgets the old one but for what is judged, and says hello. */
void rabbit_session_start(struct rabbit_session *s);
/* Takes the whole frames that `in` begins with; returns how many bytes that was. */
size_t rabbit_session_take(struct rabbit_session *s, struct str in);
/* The event goes out from that place; judged at once when it cannot. */
void rabbit_session_publish(struct rabbit_session *s, unsigned place, const struct event_ref *ev,
                            int64_t deadline_ms);
void rabbit_session_heartbeat(struct rabbit_session *s);
/* The last words, when the state allows some. */
void rabbit_session_goodbye(struct rabbit_session *s);
/* Nothing is to be expected of this connection any more; the first reason stays. */
void rabbit_session_lose(struct rabbit_session *s, const char *why);
/* The outcome of an event that is out, RETRY; its confirmation is not waited for any more. */
void rabbit_session_give_up(struct rabbit_session *s, unsigned place, const char *why);
/* None of what is out gets an outcome any more. */
void rabbit_session_forget(struct rabbit_session *s);

/* --- amqp_login.c: pure --------------------------------------------------------------------------------------------- */

/* connection.start, by its arguments. False: the session is lost. */
bool rabbit_login_start(struct rabbit_session *s, struct str args);
/* The next step, when this is the method that it waits for; false: it is not. m: librabbitmq's struct of it. */
bool rabbit_login_step(struct rabbit_session *s, uint32_t id, const void *m);

/* --- amqp_open.c: instance ------------------------------------------------------------------------------------------ */

struct rabbit {
    const struct rabbit_conf *conf;
    char *id;
    char label[64]; /* "amqp:primary", for the log */
    struct rabbit_address address;
    struct rabbit_session session;
    struct dialer dialer;
    int fd;    /* -1: not connected */
    int error; /* errno of the last failure of the socket; 0: it ended in good order */
    SSL *ssl;
    int wake_fd;
    struct buf in;
    size_t out_at; /* bytes of session.out that are written */
    int64_t sent_ms, received_ms, blocked_ms;
    _Atomic int64_t hasten_ms;
};
bool rabbit_check(const void *conf, struct err *e);
void *rabbit_open(const void *conf, const char *id, struct err *e);
bool rabbit_connect(void *self, int64_t deadline_ms, struct err *e);
bool rabbit_idle(void *self, int64_t deadline_ms, struct err *e);
void rabbit_hasten(void *self, int64_t deadline_ms);
void rabbit_disconnect(void *self);
void rabbit_close(void *self);

/* --- amqp_wire.c: bytes to and fro ---------------------------------------------------------------------------------- */

/* Writes and reads what can be without waiting, the heartbeat when it is due. A connection that is gone is closed, and the
 * session lost. */
void rabbit_pump(struct rabbit *r);
/* Events of poll(2) to wait for. */
short rabbit_awaits(const struct rabbit *r);
void rabbit_hang_up(struct rabbit *r);

/* --- amqp_send.c ---------------------------------------------------------------------------------------------------- */

void rabbit_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t rabbit_poll(void *self, struct send_done *done, int64_t until_ms);
void rabbit_wake(void *self);

#endif
