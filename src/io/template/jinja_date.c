/* jinja_date: strftime in the C locale, whatever the machine's locale is, so that the same date gives the same text on any
 * machine. */
#include <stdio.h>
#include <string.h>

#include "io/template/jinja_internal.h"

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

/* One field; false when it is not known. `flag`: '-' leaves out the padding. */
static bool write_field(char text[64], const struct tm *t, char field, char flag)
{
    int hour12 = t->tm_hour % 12 ? t->tm_hour % 12 : 12;
    const char *two = flag == '-' ? "%d" : "%02d";
    const struct {
        char field;
        int value;
    } numbers[] = {{'d', t->tm_mday}, {'m', t->tm_mon + 1}, {'H', t->tm_hour},      {'I', hour12},
                   {'M', t->tm_min},  {'S', t->tm_sec},     {'y', t->tm_year % 100}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].field == field) return snprintf(text, 64, two, numbers[i].value) > 0;
    switch (field) {
    case 'Y':
        return snprintf(text, 64, "%d", t->tm_year + 1900) > 0;
    case 'B':
        return snprintf(text, 64, "%s", months[t->tm_mon % 12]) > 0;
    case 'b':
        return snprintf(text, 64, "%.3s", months[t->tm_mon % 12]) > 0;
    case 'A':
        return snprintf(text, 64, "%s", days[t->tm_wday % 7]) > 0;
    case 'a':
        return snprintf(text, 64, "%.3s", days[t->tm_wday % 7]) > 0;
    case 'j':
        return snprintf(text, 64, flag == '-' ? "%d" : "%03d", t->tm_yday + 1) > 0;
    case 'e':
        return snprintf(text, 64, "%2d", t->tm_mday) > 0;
    case 'p':
        return snprintf(text, 64, "%s", t->tm_hour < 12 ? "AM" : "PM") > 0;
    case 'F':
        return snprintf(text, 64, "%d-%02d-%02d", t->tm_year + 1900, t->tm_mon + 1, t->tm_mday) > 0;
    case 'T':
        return snprintf(text, 64, "%02d:%02d:%02d", t->tm_hour, t->tm_min, t->tm_sec) > 0;
    case '%':
        return snprintf(text, 64, "%%") > 0;
    default:
        return false;
    }
}

enum status jinja_date_write(struct jinja_run *r, const struct tm *t, struct jinja_string format, struct jinja_string *out)
{
    struct jinja_builder b = {.a = &r->arena};
    char text[64];
    TRY(jinja_step(r, format.n));
    for (size_t i = 0; i < format.n; i++) {
        if (format.s[i] != '%') {
            jinja_builder_append(&b, jinja_part(format, i, i + 1));
            continue;
        }
        char flag = i + 1 < format.n && format.s[i + 1] == '-' ? '-' : 0;
        i += flag ? 2 : 1;
        if (i >= format.n || !write_field(text, t, format.s[i], flag))
            return jinja_refuse(r, "a field of strftime_now in \"%.*s\"", format.n < 60 ? (int)format.n : 60, format.s);
        jinja_builder_str(&b, text);
    }
    *out = jinja_builder_string(&b);
    return r->c->status;
}
