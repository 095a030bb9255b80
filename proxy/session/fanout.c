#include "session/fanout.h"

#include "base/alloc.h"
#include "net/evloop.h"
#include "net/iobuf.h"

struct rendering {
    struct fanout_key key;
    struct iobuf_shared *shared; /* NULL: free */
};

struct fanout {
    struct evloop *loop;
    struct task forget;
    struct rendering kept[FANOUT_KEPT];
    size_t next; /* where the next one goes */
};

static void forget_all(void *arg)
{
    struct fanout *fanout = arg;
    for (size_t i = 0; i < FANOUT_KEPT; i++) {
        if (fanout->kept[i].shared != NULL) {
            iobuf_shared_put(&fanout->kept[i].shared);
        }
    }
}

struct fanout *fanout_create(struct evloop *loop)
{
    struct fanout *fanout = alloc_zero(sizeof(*fanout));
    fanout->loop = loop;
    task_init(&fanout->forget, forget_all, fanout);
    return fanout;
}

void fanout_destroy(struct fanout **fanout)
{
    if (*fanout != NULL) {
        evloop_cancel((*fanout)->loop, &(*fanout)->forget);
        forget_all(*fanout);
        alloc_free(*fanout);
        *fanout = NULL;
    }
}

struct iobuf_shared *fanout_find(struct fanout *fanout, const struct fanout_key *key)
{
    for (size_t i = 0; fanout != NULL && i < FANOUT_KEPT; i++) {
        const struct rendering *kept = &fanout->kept[i];
        if (kept->shared != NULL && kept->key.mailbox == key->mailbox &&
            kept->key.form == key->form && view_key_equal(&kept->key.view, &key->view)) {
            return kept->shared;
        }
    }
    return NULL;
}

struct iobuf_shared *fanout_keep(struct fanout *fanout, const struct fanout_key *key,
                                 struct slice bytes)
{
    struct rendering *kept = &fanout->kept[fanout->next];
    fanout->next = (fanout->next + 1) % FANOUT_KEPT;
    if (kept->shared != NULL) {
        iobuf_shared_put(&kept->shared);
    }
    *kept = (struct rendering){.key = *key, .shared = iobuf_shared_create(bytes)};
    evloop_defer(fanout->loop, &fanout->forget, EVLOOP_LATE);
    return kept->shared;
}
