/* Sessions whose SELECT was answered early: who waits, and when the view is opened.  What the file calls
 * stands here, so that a feed can be at any point of its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The library may hold all of these, too. */
#define feed_knows fake_feed_knows
#define feed_is_mapped fake_feed_is_mapped
#define feed_is_away fake_feed_is_away
#define session__open_view fake_open_view
#define session_wake fake_session_wake
#define timeout_start fake_timeout_start
#define timeout_stop fake_timeout_stop
#define early__lacks test__lacks
#define early__must_wait test__must_wait
#define early__progress test__progress
#define early__still_here test__still_here
#include "../../../proxy/session/early.c"

static struct {
    enum feed_knows knows;
    bool is_mapped, is_away, can_open;
    int opened_n, woken_n, started_n, stopped_n;
} now;

enum feed_knows feed_knows(const struct feed *feed)
{
    (void)feed;
    return now.knows;
}

bool feed_is_mapped(const struct feed *feed)
{
    (void)feed;
    return now.is_mapped;
}

bool feed_is_away(const struct feed *feed)
{
    (void)feed;
    return now.is_away;
}

bool session__open_view(struct session *session)
{
    now.opened_n++;
    session->view = now.can_open ? (struct view *)&now : NULL;
    return now.can_open;
}

void session_wake(struct session *session)
{
    (void)session;
    now.woken_n++;
}

void timeout_start(struct evloop *loop, struct timeout *timeout, uint32_t ms)
{
    (void)loop;
    (void)timeout;
    (void)ms;
    now.started_n++;
}

void timeout_stop(struct timeout *timeout)
{
    (void)timeout;
    now.stopped_n++;
}

static const struct session_env env;
static const struct command_info store_info = {.name = "STORE", .id = CMD_STORE};
static struct job store_job = {.parse_status = OK, .parsed = {.info = &store_info}};

static struct session begin(enum session_state state)
{
    now.knows = FEED_KNOWS_NOTHING;
    now.is_mapped = now.is_away = false;
    now.can_open = true;
    now.opened_n = now.woken_n = now.started_n = now.stopped_n = 0;
    return (struct session){.state = state, .env = &env, .feed = (struct feed *)&now};
}

/* It hangs on the feed, and its SELECT has yet to look at it (its client reads too slowly, say): the
 * view is of the mailbox, and of the state, that SELECT enters, so SELECT opens it. */
static void test_news_before_the_select_is_looked_at_open_nothing(void **state)
{
    (void)state;
    struct session session = begin(SESSION_AUTHENTICATED);
    now.is_mapped = true;
    early__progress(&session);
    assert_int_equal(now.opened_n, 0);
    assert_int_equal(now.woken_n, 1);
    session.state = SESSION_SELECTED;
    early__progress(&session);
    assert_int_equal(now.opened_n, 1);
    assert_int_equal(now.woken_n, 2);
    early__progress(&session); /* flags are known, too: it has its view */
    assert_int_equal(now.opened_n, 1);
}

static void test_no_view_before_the_numbers(void **state)
{
    (void)state;
    struct session session = begin(SESSION_SELECTED);
    early__progress(&session);
    assert_int_equal(now.opened_n, 0);
    assert_int_equal(now.woken_n, 1);
    now.is_mapped = true;
    now.can_open = false; /* the session has been ended: nobody to be woken */
    early__progress(&session);
    assert_int_equal(now.woken_n, 1);
}

/* While the upstream is away it is answered NO, and the client is not told any more that it waits. */
static void test_nobody_waits_for_what_is_away(void **state)
{
    (void)state;
    struct session session = begin(SESSION_SELECTED);
    assert_true(early__must_wait(&session, &store_job));
    assert_true(session.is_waiting);
    assert_int_equal(now.started_n, 1);
    assert_true(early__still_here(&session) > 0);
    assert_true(early__must_wait(&session, &store_job)); /* tried again: the clock runs on */
    assert_int_equal(now.started_n, 1);
    now.is_away = true;
    assert_false(early__must_wait(&session, &store_job));
    assert_true(early__lacks(&session, &store_job));
    assert_false(session.is_waiting);
    assert_int_equal(now.stopped_n, 1);
    assert_int_equal(early__still_here(&session), 0);
}

static void test_known_numbers_end_the_wait(void **state)
{
    (void)state;
    struct session session = begin(SESSION_SELECTED);
    assert_true(early__must_wait(&session, &store_job));
    now.knows = FEED_KNOWS_NUMBERS;
    assert_true(early__must_wait(&session, &store_job)); /* no view yet */
    session.view = (struct view *)&now;
    assert_false(early__must_wait(&session, &store_job));
    assert_int_equal(now.stopped_n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_news_before_the_select_is_looked_at_open_nothing),
        cmocka_unit_test(test_no_view_before_the_numbers),
        cmocka_unit_test(test_nobody_waits_for_what_is_away),
        cmocka_unit_test(test_known_numbers_end_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
