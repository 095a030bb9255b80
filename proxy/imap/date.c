#include "imap/date.h"

#include <string.h>

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const unsigned month_days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* Exactly @n digits at @text. */
static bool digits(const char *text, size_t n, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *out = *out * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

static bool find_month(const char *text, size_t *out)
{
    for (*out = 0; *out < 12; ++*out) {
        if (slice_eq_nocase(slice_of(text, 3), slice_of(months[*out], 3))) {
            return true;
        }
    }
    return false;
}

struct day {
    unsigned day;
    size_t month;
    unsigned year;
};

/* "-Mon-YYYY" at @text (9 octets) after the day. */
static bool month_and_year(const char *text, struct day *out)
{
    return text[0] == '-' && find_month(text + 1, &out->month) && text[4] == '-' &&
           digits(text + 5, 4, &out->year);
}

/* 29 February: in any year.  What an INTERNALDATE may say. */
static bool is_in_month(const struct day *day)
{
    return day->day >= 1 && day->day <= month_days[day->month];
}

static size_t put_number(char *out, unsigned value, size_t width)
{
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return width;
}

static size_t put_month_and_year(char *out, const struct day *day)
{
    out[0] = '-';
    memcpy(out + 1, months[day->month], 3);
    out[4] = '-';
    return 5 + put_number(out + 5, day->year, 4);
}

static bool read_date(struct slice text, struct day *out)
{
    if (text.len != 10 && text.len != 11) {
        return false;
    }
    size_t day_len = text.len - 9;
    return digits(text.data, day_len, &out->day) && month_and_year(text.data + day_len, out);
}

bool date_exists(struct slice canonical)
{
    struct day day;
    if (!read_date(canonical, &day)) {
        return false;
    }
    bool is_leap = day.year % 4 == 0 && (day.year % 100 != 0 || day.year % 400 == 0);
    return is_in_month(&day) && (day.month != 1 || day.day < 29 || is_leap);
}

bool date_check(struct slice text, char out[DATE_TEXT_MAX + 1])
{
    struct day day;
    if (!read_date(text, &day)) {
        return false;
    }
    size_t n = put_number(out, day.day, day.day < 10 ? 1 : 2);
    n += put_month_and_year(out + n, &day);
    out[n] = '\0';
    return true;
}

static bool time_and_zone(const char *text)
{
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned zone;
    return text[0] == ' ' && digits(text + 1, 2, &hour) && text[3] == ':' &&
           digits(text + 4, 2, &minute) && text[6] == ':' && digits(text + 7, 2, &second) &&
           text[9] == ' ' && (text[10] == '+' || text[10] == '-') && digits(text + 11, 4, &zone) &&
           hour < 24 && minute < 60 && second <= 60 && zone % 100 < 60;
}

bool date_time_check(struct slice text, char out[DATE_TIME_TEXT_MAX + 1])
{
    struct day day;
    if (text.len != 25 && text.len != 26) {
        return false;
    }
    size_t day_len = text.len - 24;
    const char *at = text.data;
    size_t blank = day_len == 2 && at[0] == ' ' ? 1 : 0;
    if (!digits(at + blank, day_len - blank, &day.day) || !month_and_year(at + day_len, &day) ||
        !is_in_month(&day) || !time_and_zone(at + day_len + 9)) {
        return false;
    }
    put_number(out, day.day, 2);
    out[0] = day.day < 10 ? ' ' : out[0];
    size_t n = 2 + put_month_and_year(out + 2, &day);
    memcpy(out + n, at + day_len + 9, 15);
    out[n + 15] = '\0';
    return true;
}

/* Days since 1 March of year 0; years begin in March, so that the day that may be missing is the last. */
static int64_t day_number(const struct day *day)
{
    int64_t month = (int64_t)(day->month + 10) % 12;
    int64_t year = (int64_t)day->year - (day->month < 2 ? 1 : 0);
    return 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day->day - 1;
}

bool date_time_seconds(struct slice text, int64_t *seconds_out)
{
    static const struct day first = {.day = 1, .month = 0, .year = 1970};
    char at[DATE_TIME_TEXT_MAX + 1];
    struct day day = first;
    unsigned hour = 0, minute = 0, second = 0, zone_hours = 0, zone_minutes = 0;
    if (!date_time_check(text, at)) {
        return false;
    }
    at[0] = at[0] == ' ' ? '0' : at[0];
    bool is_sound = digits(at, 2, &day.day) && month_and_year(at + 2, &day) &&
                    digits(at + 12, 2, &hour) && digits(at + 15, 2, &minute) &&
                    digits(at + 18, 2, &second) && digits(at + 22, 2, &zone_hours) &&
                    digits(at + 24, 2, &zone_minutes);
    int64_t zone = ((int64_t)zone_hours * 60 + zone_minutes) * 60;
    *seconds_out = (day_number(&day) - day_number(&first)) * 86400 +
                   ((int64_t)hour * 60 + minute) * 60 + second + (at[21] == '-' ? zone : -zone);
    return is_sound;
}
