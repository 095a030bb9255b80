/* Octets of an account and day: providers limit them (Gmail: 2,500 MB a day), so an administrator wants
 * to know who comes near.  Told at midnight UTC, when an account leaves, and when asked for; an account
 * that comes and goes on one day has several lines, which add up. */
#include "account_p.h"
#include "base/clock.h"
#include "base/log.h"

enum { DAY_S = 24 * 60 * 60 };

void meter__log(const struct account *account, const char *when)
{
    const struct link_meter *meter = &account->meter;
    if (meter->in + meter->out > 0) {
        LOG(LOG_INFO, "account", "msg=\"octets of the day\" account=%s when=%s in=%llu out=%llu",
            account->name, when, (unsigned long long)meter->in, (unsigned long long)meter->out);
    }
}

void accounts_log_meters(const struct accounts *accounts)
{
    const struct account *account, *next;
    HASH_ITER(hh, accounts->by_key, account, next) {
        meter__log(account, "now");
    }
}

static void wait_for_midnight(struct accounts *accounts)
{
    uint64_t left_s = DAY_S - (uint64_t)clock_wall_s() % DAY_S;
    timer_set_ms(accounts->midnight, left_s * 1000);
}

static void day_over(void *arg)
{
    struct accounts *accounts = arg;
    struct account *account, *next;
    HASH_ITER(hh, accounts->by_key, account, next) {
        meter__log(account, "midnight");
        account->meter = (struct link_meter){.in = 0};
    }
    wait_for_midnight(accounts);
}

void meter__init(struct accounts *accounts)
{
    accounts->midnight = timer_create_on(accounts->env.loop, day_over, accounts);
    wait_for_midnight(accounts);
}

void meter__fini(struct accounts *accounts)
{
    timer_destroy(&accounts->midnight);
}
