/* Flow:  file --config_text--> text without comments --libconfuse--> sections, each value checked
 * while its line number is known --build_*()--> struct settings --command line--> finish(). */
#include "config.h"

#include <confuse.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/check.h"
#include "config_keys_p.h"
#include "config_text.h"
#include "value.h"

enum { CONFIG_ARENA_MAX = 16 * 1024 * 1024, CONFIG_SECTION_KEYS_MAX = 16 };

struct built {
    struct settings settings; /* first: destroy() gets its address */
    struct arena arena;       /* everything the settings point to */
};

/* --- reading the file ------------------------------------------------------------------------ */

/* libconfuse hands its callbacks no pointer of ours, but every section carries its options: the
 * first one of each, of a name that nobody writes, is bound to reader.self. */
#define SELF_NAME "\001"

struct reader {
    long self; /* first */
    const char *path;
    struct buf *errors;
    uint64_t given;          /* keys of the section being read, by index */
    uint64_t given_sections; /* single sections already read, by index of their first key */
};

static struct reader *reader_of(cfg_t *cfg)
{
    return (struct reader *)(void *)cfg->opts[0].simple_value.number;
}

static const char *section_of(cfg_t *cfg)
{
    return strcmp(cfg_name(cfg), "root") == 0 ? NULL : cfg_name(cfg);
}

static void list_known(cfg_t *cfg, struct buf *out)
{
    const char *between = "";
    for (const cfg_opt_t *opt = cfg->opts + 1; opt->name != NULL; opt++) {
        buf_printf(out, "%s%s", between, opt->name);
        between = ", ";
    }
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    struct reader *reader = reader_of(cfg);
    const char *section = section_of(cfg);
    char text[256];
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    buf_printf(reader->errors, "%s:%d: ", reader->path, cfg->line);
    if (strncmp(fmt, "no such option", 14) == 0) {
        const char *name = strchr(text, '\'');
        buf_printf(reader->errors,
                   "unknown %s %s%s%s; known are: ", section == NULL ? "section or key" : "key",
                   name != NULL ? name : text, section == NULL ? "" : " in section ",
                   section == NULL ? "" : section);
        list_known(cfg, reader->errors);
    } else {
        buf_add_str(reader->errors, text);
    }
    buf_add_char(reader->errors, '\n');
}

static bool mark_given(cfg_t *cfg, const struct config_key *key)
{
    struct reader *reader = reader_of(cfg);
    uint64_t bit = 1ULL << (key - config_keys());
    bool is_again = (reader->given & bit) != 0 && key->kind != CONFIG_LIST;
    reader->given |= bit;
    if (is_again) {
        cfg_error(cfg, "key %s is given twice in section %s", key->name, key->section);
    }
    return !is_again;
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    const struct config_key *key = config_find_key(cfg_name(cfg), opt->name);
    CHECK(key != NULL); /* options are made from the table */
    if (!mark_given(cfg, key)) {
        return -1;
    }
    struct buf expected;
    buf_init(&expected, 512);
    long number = 0;
    bool ok = config_check_value(key, text, &number, &expected);
    if (!ok) {
        cfg_error(cfg, "%s = \"%.100s\" in section %s: expected %.*s", key->name, text,
                  key->section, (int)expected.len, expected.data);
    } else if (opt->type == CFGT_INT) {
        *(long *)result = number;
    } else {
        *(const char **)result = text; /* libconfuse copies it */
    }
    buf_fini(&expected);
    return ok ? 0 : -1;
}

static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
    struct reader *reader = reader_of(cfg);
    reader->given = 0;
    if ((opt->flags & CFGF_MULTI) != 0) {
        return 0;
    }
    uint64_t bit = 0;
    for (const struct config_key *key = config_keys(); bit == 0 && key->section != NULL; key++) {
        bit = strcmp(key->section, opt->name) == 0 ? 1ULL << (key - config_keys()) : 0;
    }
    if ((reader->given_sections & bit) != 0) {
        cfg_error(cfg, "section %s, which ends here, is given twice", opt->name);
        return -1;
    }
    reader->given_sections |= bit;
    return 0;
}

static cfg_opt_t option_for(const struct config_key *key)
{
    switch (key->kind) {
    case CONFIG_LIST:
        return (cfg_opt_t)CFG_STR_LIST_CB(key->name, NULL, CFGF_NODEFAULT, on_value);
    case CONFIG_TEXT:
    case CONFIG_FILE:
    case CONFIG_URL:
    case CONFIG_ADDRESS:
    case CONFIG_LEVEL:
        return (cfg_opt_t)CFG_STR_CB(key->name, NULL, CFGF_NODEFAULT, on_value);
    case CONFIG_TLS_MODE:
    case CONFIG_BOOL:
    case CONFIG_SHARE:
    case CONFIG_COUNT:
    case CONFIG_DURATION_MS:
    case CONFIG_DURATION_S:
    case CONFIG_SIZE32:
    case CONFIG_SIZE64:
        break;
    }
    return (cfg_opt_t)CFG_INT_CB(key->name, 0, CFGF_NODEFAULT, on_value);
}

static int on_self(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    (void)opt;
    (void)result;
    cfg_error(cfg, "no such option '%s'", text);
    return -1;
}

static cfg_opt_t option_self(struct reader *reader)
{
    cfg_opt_t option = CFG_SIMPLE_INT(SELF_NAME, &reader->self);
    option.parsecb = on_self;
    return option;
}

/* The options of one section; returns the key after its last. */
static const struct config_key *fill_section(cfg_opt_t *opts, const struct config_key *first,
                                             struct reader *reader)
{
    const struct config_key *key = first;
    *opts++ = option_self(reader);
    for (; key->section != NULL && strcmp(key->section, first->section) == 0; key++) {
        CHECK(key - first < CONFIG_SECTION_KEYS_MAX - 2);
        *opts++ = option_for(key);
    }
    *opts = (cfg_opt_t)CFG_END();
    return key;
}

static cfg_t *make_parser(struct reader *reader)
{
    cfg_opt_t sections[8][CONFIG_SECTION_KEYS_MAX];
    cfg_opt_t top[10] = {option_self(reader)};
    size_t n = 0;
    const struct config_key *key = config_keys();
    while (key->section != NULL) {
        CHECK(n < sizeof(sections) / sizeof(sections[0]));
        bool is_titled =
            strcmp(key->section, "listener") == 0 || strcmp(key->section, "upstream") == 0;
        cfg_flag_t flags = is_titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
        top[n + 1] = (cfg_opt_t)CFG_SEC(key->section, sections[n], flags);
        key = fill_section(sections[n], key, reader);
        n++;
    }
    top[n + 1] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = cfg_init(top, CFGF_NONE); /* copies the options */
    CHECK(cfg != NULL);
    (void)cfg_set_error_function(cfg, on_error);
    for (size_t i = 1; i <= n; i++) {
        (void)cfg_set_validate_func(cfg, top[i].name, on_section);
    }
    return cfg;
}

/* --- values into structs ---------------------------------------------------------------------- */

static void store_number(void *at, enum config_kind kind, long number)
{
    if (kind == CONFIG_BOOL || kind == CONFIG_SHARE) {
        *(bool *)at = number != 0;
    } else if (kind == CONFIG_SIZE64) {
        *(uint64_t *)at = (uint64_t)number;
    } else {
        *(uint32_t *)at = (uint32_t)number;
    }
}

static void store_url(struct arena *arena, struct upstream_settings *upstream, const char *text)
{
    struct value_url url;
    CHECK(value_parse_url(text, &url)); /* checked while reading */
    upstream->host = arena_string(arena, url.host);
    upstream->port = url.port;
    upstream->security = url.security;
}

static void store_address(struct arena *arena, struct listener_settings *listener, const char *text)
{
    bool is_loopback = false;
    CHECK(value_parse_address(text, &is_loopback)); /* checked while reading */
    listener->address = arena_string(arena, slice_str(text));
    listener->allow_cleartext = is_loopback;
}

static void store_list(struct arena *arena, const char *const **at, cfg_opt_t *opt)
{
    unsigned n = cfg_opt_size(opt);
    const char **list = arena_array(arena, n + 1, sizeof(*list));
    for (unsigned i = 0; list != NULL && i < n; i++) {
        list[i] = arena_string(arena, slice_str(cfg_opt_getnstr(opt, i)));
    }
    *at = list;
}

static void store_key(struct arena *arena, void *base, const struct config_key *key, cfg_opt_t *opt)
{
    void *at = (char *)base + key->offset;
    switch (key->kind) {
    case CONFIG_TEXT:
    case CONFIG_FILE:
    case CONFIG_LEVEL:
        *(const char **)at = arena_string(arena, slice_str(cfg_opt_getnstr(opt, 0)));
        break;
    case CONFIG_URL:
        store_url(arena, base, cfg_opt_getnstr(opt, 0));
        break;
    case CONFIG_ADDRESS:
        store_address(arena, base, cfg_opt_getnstr(opt, 0));
        break;
    case CONFIG_TLS_MODE:
        ((struct listener_settings *)base)->is_tls = cfg_opt_getnint(opt, 0) == 1;
        ((struct listener_settings *)base)->has_starttls = cfg_opt_getnint(opt, 0) == 2;
        break;
    case CONFIG_LIST:
        store_list(arena, at, opt);
        break;
    case CONFIG_BOOL:
    case CONFIG_SHARE:
    case CONFIG_COUNT:
    case CONFIG_DURATION_MS:
    case CONFIG_DURATION_S:
    case CONFIG_SIZE32:
    case CONFIG_SIZE64:
        store_number(at, key->kind, cfg_opt_getnint(opt, 0));
        break;
    }
}

/* In the order of the table, which lets an address set a default that a later key overrides. */
static void store_section(struct arena *arena, void *base, cfg_t *section)
{
    for (const struct config_key *key = config_keys(); key->section != NULL; key++) {
        if (strcmp(key->section, cfg_name(section)) != 0) {
            continue;
        }
        cfg_opt_t *opt = cfg_getopt(section, key->name);
        if (opt != NULL && cfg_opt_size(opt) > 0) {
            store_key(arena, base, key, opt);
        }
    }
}

static bool section_error(struct reader *reader, cfg_t *section, const char *wrong)
{
    buf_printf(reader->errors, "%s:%d: %s \"%s\", which ends here, %s\n", reader->path,
               section->line, cfg_name(section), cfg_title(section), wrong);
    return false;
}

static bool check_listener(struct reader *reader, cfg_t *section, const struct settings *settings,
                           struct listener_settings *listener)
{
    if (listener->address == NULL) {
        return section_error(reader, section, "has no address; expected " VALUE_ADDRESS_FORM);
    }
    if (listener->cert_file == NULL) {
        if (listener->key_file != NULL) {
            return section_error(reader, section, "has a key and no cert; expected both or none");
        }
        listener->cert_file = settings->tls_cert_file;
        listener->key_file = settings->tls_key_file;
    }
    bool has_tls = listener->is_tls || listener->has_starttls;
    if (has_tls && listener->cert_file == NULL) {
        return section_error(reader, section,
                             "has tls and no certificate; expected cert here or in section tls");
    }
    if (!has_tls && !listener->allow_cleartext) {
        return section_error(reader, section,
                             "lets nobody log in; expected tls = implicit or starttls (or "
                             "allow_cleartext = yes on a network where nobody listens)");
    }
    return true;
}

static bool build_listeners(struct built *built, cfg_t *cfg, struct reader *reader)
{
    unsigned n = cfg_size(cfg, "listener");
    built->settings.listeners = arena_array(&built->arena, n, sizeof(*built->settings.listeners));
    for (unsigned i = 0; i < n && built->settings.listeners != NULL; i++) {
        cfg_t *section = cfg_getnsec(cfg, "listener", i);
        struct listener_settings *listener = &built->settings.listeners[i];
        listener->name = arena_string(&built->arena, slice_str(cfg_title(section)));
        store_section(&built->arena, listener, section);
        if (!check_listener(reader, section, &built->settings, listener)) {
            return false;
        }
    }
    built->settings.listeners_n = n;
    return true;
}

static bool build_upstreams(struct built *built, cfg_t *cfg, struct reader *reader)
{
    unsigned n = cfg_size(cfg, "upstream");
    built->settings.upstreams = arena_array(&built->arena, n, sizeof(*built->settings.upstreams));
    for (unsigned i = 0; i < n && built->settings.upstreams != NULL; i++) {
        cfg_t *section = cfg_getnsec(cfg, "upstream", i);
        struct upstream_settings *upstream = &built->settings.upstreams[i];
        settings_default_upstream(upstream);
        upstream->name = arena_string(&built->arena, slice_str(cfg_title(section)));
        store_section(&built->arena, upstream, section);
        if (upstream->host == NULL) {
            return section_error(reader, section, "has no url; expected " VALUE_URL_FORM);
        }
    }
    built->settings.upstreams_n = n;
    return true;
}

static bool build_from(struct built *built, cfg_t *cfg, struct reader *reader)
{
    static const char *const single[] = {"tls", "cache", "search", "auth", "limits", "log"};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        store_section(&built->arena, &built->settings, cfg_getsec(cfg, single[i]));
    }
    if (built->settings.tls_cert_file == NULL && built->settings.tls_key_file != NULL) {
        buf_printf(reader->errors, "%s: section tls has a key and no cert; expected both\n",
                   reader->path);
        return false;
    }
    return build_upstreams(built, cfg, reader) && build_listeners(built, cfg, reader);
}

static bool read_file(struct built *built, const char *path, struct buf *errors)
{
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    bool ok = config_text_read(path, &text, errors) && config_text_prepare(path, &text, errors);
    if (ok) {
        struct reader reader = {.path = path, .errors = errors};
        cfg_t *cfg = make_parser(&reader);
        int parsed = cfg_parse_buf(cfg, text.data);
        ok = parsed == CFG_SUCCESS && build_from(built, cfg, &reader);
        (void)cfg_free(cfg);
        if (!ok && errors->len == 0) {
            buf_printf(errors, "%s: cannot be parsed\n", path);
        }
    }
    buf_fini(&text);
    return ok;
}

/* --- the command line on top ------------------------------------------------------------------ */

static bool apply_upstream(struct built *built, const char *url, struct buf *errors)
{
    struct value_url parsed;
    if (!value_parse_url(url, &parsed)) {
        buf_printf(errors, "--upstream %s: expected " VALUE_URL_FORM "\n", url);
        return false;
    }
    struct upstream_settings *upstream = arena_alloc(&built->arena, sizeof(*upstream));
    CHECK(upstream != NULL);
    settings_default_upstream(upstream);
    upstream->name = "default";
    store_url(&built->arena, upstream, url);
    built->settings.upstreams = upstream;
    built->settings.upstreams_n = 1;
    return true;
}

/* A listener of the command line: STARTTLS when section tls has a certificate. */
static bool apply_listen(struct built *built, struct listener_settings *listener,
                         const char *address, struct buf *errors)
{
    bool is_loopback;
    if (!value_parse_address(address, &is_loopback)) {
        buf_printf(errors, "--listen %s: expected " VALUE_ADDRESS_FORM "\n", address);
        return false;
    }
    listener->name = arena_string(&built->arena, slice_str(address));
    store_address(&built->arena, listener, address);
    listener->cert_file = built->settings.tls_cert_file;
    listener->key_file = built->settings.tls_key_file;
    listener->has_starttls = listener->cert_file != NULL;
    if (!is_loopback && !listener->has_starttls) {
        buf_printf(errors,
                   "--listen %s: not a loopback address, so nobody could log in without TLS; "
                   "expected a certificate (section tls of a configuration file)\n",
                   address);
        return false;
    }
    return true;
}

static bool apply_listens(struct built *built, const struct config_source *source,
                          struct buf *errors)
{
    static const char *const by_default[] = {CONFIG_DEFAULT_LISTEN};
    bool is_default = source->listen_n == 0;
    if (is_default && built->settings.listeners_n > 0) {
        return true;
    }
    size_t n = is_default ? 1 : source->listen_n;
    struct listener_settings *listeners = arena_array(&built->arena, n, sizeof(*listeners));
    CHECK(listeners != NULL);
    for (size_t i = 0; i < n; i++) {
        const char *address = is_default ? by_default[0] : source->listen[i];
        if (!apply_listen(built, &listeners[i], address, errors)) {
            return false;
        }
    }
    built->settings.listeners = listeners;
    built->settings.listeners_n = n;
    return true;
}

static bool apply_texts(struct built *built, const struct config_source *source, struct buf *errors)
{
    struct settings *settings = &built->settings;
    if (source->cache_dir != NULL) {
        settings->cache_dir = arena_string(&built->arena, slice_str(source->cache_dir));
    }
    if (source->log_level != NULL) {
        const struct config_key *key = config_find_key("log", "level");
        long unused;
        struct buf expected;
        buf_init(&expected, 512);
        bool ok = config_check_value(key, source->log_level, &unused, &expected);
        if (!ok) {
            buf_printf(errors, "--log-level %s: expected %.*s\n", source->log_level,
                       (int)expected.len, expected.data);
        }
        buf_fini(&expected);
        settings->log_level = arena_string(&built->arena, slice_str(source->log_level));
        return ok;
    }
    return true;
}

static bool apply_source(struct built *built, const struct config_source *source,
                         struct buf *errors)
{
    if (source->upstream_url != NULL && !apply_upstream(built, source->upstream_url, errors)) {
        return false;
    }
    if (!apply_listens(built, source, errors) || !apply_texts(built, source, errors)) {
        return false;
    }
    if (built->settings.upstreams_n == 0) {
        buf_printf(errors, "%s: no upstream; expected --upstream URL or a section upstream\n",
                   source->file != NULL ? source->file : "imapcached");
        return false;
    }
    return true;
}

static void destroy_built(struct settings *settings)
{
    struct built *built = (struct built *)(void *)settings;
    arena_reset(&built->arena);
    alloc_free(built);
}

static struct built *create_built(void)
{
    struct built *built = alloc_zero(sizeof(*built));
    arena_init(&built->arena, CONFIG_ARENA_MAX);
    settings_default_limits(&built->settings.limits);
    built->settings.cache_dir = CONFIG_DEFAULT_CACHE_DIR;
    built->settings.cache_size_bytes = 10ULL << 30;
    settings_default_auth(&built->settings);
    settings_default_search(&built->settings);
    built->settings.verify_every = 1000;
    built->settings.log_level = "info";
    built->settings.destroy = destroy_built;
    return built;
}

const struct settings *config_load(const struct config_source *source, struct buf *errors)
{
    struct built *built = create_built();
    const struct settings *settings = settings_hold(&built->settings);
    bool ok = (source->file == NULL || read_file(built, source->file, errors)) &&
              apply_source(built, source, errors);
    CHECK(!built->arena.failed); /* a file of 1 MiB cannot fill it */
    if (!ok) {
        settings_release(&settings);
    }
    return settings;
}
