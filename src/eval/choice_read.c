/* choice_read: rows of the benchmarks into items. CSV becomes the JSON objects of the hub's form first, so there is one
 * reader of each benchmark. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "eval/choice.h"
#include "eval/choice_text.h"
#include "io/csv_file.h"
#include "io/row_file.h"

enum { TEXT_CAP_BYTES = 1 << 20, MMLU_CHOICES = 4 };

/* What reading a set holds. `what` names the current row in messages. */
struct choice_reader {
    struct ctx *c;
    struct choice_set *set;
    size_t items_capacity;
    const struct choice_options *options;
    const char *path; /* of the current file */
    char what[512];
    json_t **shots; /* rows of the dev split; owned */
    size_t n_shots, shots_capacity;
};

/* ---- members ---------------------------------------------------------------------------------------------------------- */

static enum status fail_row(struct choice_reader *r, const char *problem)
{
    return ctx_fail(r->c, E_INPUT, "%s: %s", r->what, problem);
}

/* Copies a list of strings as the choices of an item: 2 to CHOICE_MOST. */
static enum status take_choices(struct choice_reader *r, const json_t *list, const char *key, struct choice_item *item)
{
    struct ctx *c = r->c;
    size_t n = json_is_array(list) ? json_array_size(list) : 0;
    if (n < 2 || n > CHOICE_MOST)
        return ctx_fail(c, E_INPUT, "%s: \"%s\" must be a list of 2 to %d strings", r->what, key, CHOICE_MOST);
    item->choices = mem_alloc(c, n, sizeof(*item->choices));
    if (!item->choices) return c->status;
    for (; item->n < n; item->n++) {
        const json_t *v = json_array_get(list, item->n);
        if (!json_is_string(v) || !json_string_length(v))
            return ctx_fail(c, E_INPUT, "%s: \"%s\"[%zu] must be a string that is not empty", r->what, key, item->n);
        item->choices[item->n] = mem_strdup(c, json_string_value(v));
        if (!item->choices[item->n]) return c->status;
    }
    return OK;
}

static const char *choice_read_take_string(struct choice_reader *r, const json_t *row, const char *key)
{
    const char *text = NULL;
    json_member_string(r->c, r->what, row, key, true, &text);
    return text;
}

/* ---- TruthfulQA ------------------------------------------------------------------------------------------------------- */

/* {"choices": [...], "labels": [...]} as on the hub, or {choice: label, ...} as the authors have it. Which of them is told
 * by the list. Afterwards *choices and *labels are lists; owner the caller. */
static enum status split_targets(struct choice_reader *r, const json_t *targets, json_t **choices, json_t **labels)
{
    if (!json_is_object(targets)) return fail_row(r, "lacks mc1_targets or mc2_targets");
    if (json_is_array(json_object_get(targets, "choices"))) {
        *choices = json_incref(json_object_get(targets, "choices"));
        *labels = json_incref(json_object_get(targets, "labels"));
        return OK;
    }
    const char *key;
    json_t *value;
    *choices = json_array();
    *labels = json_array();
    json_object_foreach((json_t *)targets, key, value)
    {
        json_array_append_new(*choices, json_string(key));
        json_array_append(*labels, value);
    }
    return OK;
}

static enum status take_labels(struct choice_reader *r, const json_t *labels, struct choice_item *item)
{
    size_t n_true = 0;
    if (json_array_size(labels) != item->n) return fail_row(r, "\"labels\" must have as many members as \"choices\"");
    item->is_true = mem_alloc(r->c, item->n, sizeof(*item->is_true));
    if (!item->is_true) return r->c->status;
    for (size_t i = 0; i < item->n; i++) {
        const json_t *v = json_array_get(labels, i);
        if (!json_is_integer(v) || (json_integer_value(v) != 0 && json_integer_value(v) != 1))
            return fail_row(r, "a label must be 0 or 1");
        item->is_true[i] = json_integer_value(v) == 1;
        n_true += item->is_true[i];
    }
    if (n_true == 0 || n_true == item->n) return fail_row(r, "there must be true and false answers");
    return OK;
}

static enum status read_truthfulqa(struct choice_reader *r, const json_t *row, struct choice_item *item)
{
    bool mc1 = r->set->task == CHOICE_TRUTHFULQA_MC1;
    json_t *choices = NULL, *labels = NULL;
    const char *question = choice_read_take_string(r, row, "question");
    if (!question) return r->c->status;
    item->context = mem_printf(r->c, "%s\n\nQ: %s\nA:", choice_truthfulqa_primer, question);
    enum status status = split_targets(r, json_object_get(row, mc1 ? "mc1_targets" : "mc2_targets"), &choices, &labels);
    if (status == OK) status = take_choices(r, choices, "choices", item);
    if (status == OK) status = take_labels(r, labels, item);
    if (status == OK && mc1 && !item->is_true[0])
        status = fail_row(r, "the first choice of mc1_targets must be the true one");
    json_decref(choices);
    json_decref(labels);
    return status;
}

/* ---- ARC -------------------------------------------------------------------------------------------------------------- */

/* The authors' {"stem", "choices": [{"text", "label"}]} as the hub's two lists. */
static json_t *arc_columns(const json_t *list)
{
    json_t *texts = json_array(), *labels = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *choice = json_array_get(list, i);
        json_array_append(texts, json_object_get(choice, "text"));
        json_array_append(labels, json_object_get(choice, "label"));
    }
    return json_pack("{s:o,s:o}", "text", texts, "label", labels);
}

static enum status read_arc_choices(struct choice_reader *r, const json_t *choices, const char *key,
                                    struct choice_item *item)
{
    const json_t *labels = json_object_get(choices, "label");
    TRY(take_choices(r, json_object_get(choices, "text"), "text", item));
    for (item->gold = 0; item->gold < item->n; item->gold++) {
        const char *label = json_string_value(json_array_get(labels, item->gold));
        if (label && strcmp(label, key) == 0) return OK;
    }
    return fail_row(r, "answerKey is the label of no choice");
}

static enum status read_arc(struct choice_reader *r, const json_t *row, struct choice_item *item)
{
    const json_t *question = json_object_get(row, "question");
    const char *key = choice_read_take_string(r, row, "answerKey");
    const char *stem = json_is_object(question) ? choice_read_take_string(r, question, "stem")
                                                : choice_read_take_string(r, row, "question");
    if (!key || !stem) return r->c->status;
    item->context = mem_printf(r->c, "Question: %s\nAnswer:", stem);
    if (!json_is_object(question)) return read_arc_choices(r, json_object_get(row, "choices"), key, item);
    json_t *columns = arc_columns(json_object_get(question, "choices"));
    enum status status = read_arc_choices(r, columns, key, item);
    json_decref(columns);
    return status;
}

/* ---- HellaSwag -------------------------------------------------------------------------------------------------------- */

static char *cleaned(struct ctx *c, const char *text)
{
    struct buf out;
    buf_init(&out, c, TEXT_CAP_BYTES);
    choice_clean(text, &out);
    return buf_take(&out);
}

/* A number, or one decimal digit in a string: the hub has strings, the authors numbers. */
static enum status take_gold(struct choice_reader *r, const json_t *v, struct choice_item *item)
{
    const char *text = json_string_value(v);
    json_int_t gold = json_is_integer(v) ? json_integer_value(v) : -1;
    if (text && strlen(text) == 1 && *text >= '0' && *text <= '9') gold = *text - '0';
    if (gold < 0 || (size_t)gold >= item->n)
        return fail_row(r, "the answer is the number of no choice (rows without answers cannot be scored)");
    item->gold = (size_t)gold;
    return OK;
}

/* The context is "ACTIVITY: A B", B capitalised as Python does it (all but its first letter in lower case), and all of
 * it cleaned; so are the endings. */
static enum status read_hellaswag(struct choice_reader *r, const json_t *row, struct choice_item *item)
{
    struct ctx *c = r->c;
    struct buf query;
    const char *activity = choice_read_take_string(r, row, "activity_label"), *a = choice_read_take_string(r, row, "ctx_a"),
               *b = choice_read_take_string(r, row, "ctx_b");
    if (!activity || !a || !b) return c->status;
    buf_init(&query, c, TEXT_CAP_BYTES);
    buf_printf(&query, "%s: %s ", activity, a);
    choice_capitalize(b, &query);
    if (buf_ok(&query)) item->context = cleaned(c, buf_str(&query));
    buf_release(&query);
    if (!item->context) return c->status;
    TRY(take_choices(r, json_object_get(row, "endings"), "endings", item));
    for (size_t i = 0; i < item->n; i++) {
        char *clean = cleaned(c, item->choices[i]);
        if (!clean) return c->status;
        mem_free(c, item->choices[i]);
        item->choices[i] = clean;
        if (!*clean) return fail_row(r, "an ending is empty when its brackets are gone");
    }
    return take_gold(r, json_object_get(row, "label"), item);
}

/* ---- MMLU ------------------------------------------------------------------------------------------------------------- */

/* Question, choices and "Answer:" into *out; with `answered` the letter of the right choice and an empty line behind it. */
static enum status write_mmlu(struct choice_reader *r, const json_t *row, const struct choice_item *item, bool answered,
                              struct buf *out)
{
    const char *question = choice_read_take_string(r, row, "question");
    size_t start, stop;
    if (!question) return r->c->status;
    choice_strip(question, strlen(question), &start, &stop);
    buf_append(out, question + start, stop - start);
    for (size_t i = 0; i < MMLU_CHOICES; i++) buf_printf(out, "\n%c. %s", (int)('A' + i), item->choices[i]);
    buf_append_str(out, "\nAnswer:");
    if (answered) buf_printf(out, " %c\n\n", (int)('A' + item->gold));
    return r->c->status;
}

static void release_choices(struct ctx *c, struct choice_item *item)
{
    for (size_t i = 0; i < item->n; i++) mem_free(c, item->choices[i]);
    mem_free(c, item->choices);
    item->choices = NULL;
    item->n = 0;
}

static enum status read_mmlu_row(struct choice_reader *r, const json_t *row, struct choice_item *item)
{
    TRY(take_choices(r, json_object_get(row, "choices"), "choices", item));
    if (item->n != MMLU_CHOICES) return fail_row(r, "\"choices\" must be a list of four strings");
    return take_gold(r, json_object_get(row, "answer"), item);
}

/* The first rows of the same subject in the dev split. */
static enum status choice_read_write_shots(struct choice_reader *r, const char *subject, struct buf *out)
{
    int64_t done = 0;
    for (size_t i = 0; i < r->n_shots && done < r->options->shots; i++) {
        const char *of = json_string_value(json_object_get(r->shots[i], "subject"));
        struct choice_item shot = {0};
        if (!of || strcmp(of, subject) != 0) continue;
        enum status status = read_mmlu_row(r, r->shots[i], &shot);
        if (status == OK) status = write_mmlu(r, r->shots[i], &shot, true, out);
        release_choices(r->c, &shot);
        if (status != OK) return status;
        done++;
    }
    if (done < r->options->shots)
        return ctx_fail(r->c, E_INPUT, "%s: --shots %lld, but %s has only %lld rows of '%s'", r->what,
                        (long long)r->options->shots, r->options->shots_path, (long long)done, subject);
    return OK;
}

static enum status read_mmlu(struct choice_reader *r, const json_t *row, struct choice_item *item)
{
    struct ctx *c = r->c;
    struct buf text;
    const char *subject = choice_read_take_string(r, row, "subject");
    if (!subject) return c->status;
    item->subject = mem_strdup(c, subject);
    TRY(read_mmlu_row(r, row, item));
    buf_init(&text, c, TEXT_CAP_BYTES);
    buf_append_str(&text, "The following are multiple choice questions (with answers) about ");
    for (const char *p = subject; *p; p++) buf_append_char(&text, *p == '_' ? ' ' : *p);
    buf_append_str(&text, ".\n\n");
    enum status status = choice_read_write_shots(r, subject, &text);
    if (status == OK) status = write_mmlu(r, row, item, false, &text);
    if (status == OK) item->context = buf_take(&text);
    buf_release(&text);
    /* The continuations are the letters. A choice is never empty (take_choices), so a letter and its zero fit. */
    for (size_t i = 0; i < MMLU_CHOICES && status == OK; i++) item->choices[i][0] = (char)('A' + i), item->choices[i][1] = 0;
    return status == OK ? c->status : status;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static enum status choice_read_item(struct choice_reader *r, const json_t *row, struct choice_item *item)
{
    if (!json_is_object(row)) return fail_row(r, "the row is not an object");
    switch (r->set->task) {
    case CHOICE_ARC:
        return read_arc(r, row, item);
    case CHOICE_HELLASWAG:
        return read_hellaswag(r, row, item);
    case CHOICE_MMLU:
        return read_mmlu(r, row, item);
    default:
        return read_truthfulqa(r, row, item);
    }
}

/* Takes a row over: an item of the set. */
static enum status choice_read_keep_item(struct choice_reader *r, json_t *row)
{
    struct choice_set *s = r->set;
    if (r->options->limit > 0 && s->n == (size_t)r->options->limit) {
        json_decref(row);
        return OK;
    }
    if (s->n == r->items_capacity) {
        struct choice_item *grown =
            mem_resize(r->c, s->items, r->items_capacity, 2 * r->items_capacity + 64, sizeof(*grown));
        if (!grown) {
            json_decref(row);
            return r->c->status;
        }
        s->items = grown;
        r->items_capacity = 2 * r->items_capacity + 64;
    }
    struct choice_item *item = &s->items[s->n++];
    item->row = row;
    TRY(choice_read_item(r, row, item));
    return r->c->status;
}

static enum status keep_shot(struct choice_reader *r, json_t *row)
{
    if (r->n_shots == r->shots_capacity) {
        json_t **grown = mem_resize(r->c, r->shots, r->shots_capacity, 2 * r->shots_capacity + 64, sizeof(*grown));
        if (!grown) {
            json_decref(row);
            return r->c->status;
        }
        r->shots = grown;
        r->shots_capacity = 2 * r->shots_capacity + 64;
    }
    r->shots[r->n_shots++] = row;
    return OK;
}

typedef enum status (*keep_fn)(struct choice_reader *r, json_t *row);

/* "abstract_algebra" of ".../abstract_algebra_test.csv". */
static json_t *subject_of(const char *path)
{
    static const char *const ends[] = {"_test.csv", "_dev.csv", "_val.csv", ".csv"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t m = strlen(ends[i]);
        if (n > m && strcasecmp(name + n - m, ends[i]) == 0) return json_stringn(name, n - m);
    }
    return json_string(name);
}

/* A row of MMLU's CSV, question, four choices, letter: as the hub has it. */
static json_t *mmlu_object(struct choice_reader *r, const struct csv_row *row)
{
    const char *letter = row->n == 6 ? row->fields[5] : "";
    if (strlen(letter) != 1 || *letter < 'A' || *letter > 'D') {
        fail_row(r, "must have six fields: a question, four choices, and A, B, C or D");
        return NULL;
    }
    return json_pack("{s:s,s:o,s:[s,s,s,s],s:i}", "question", row->fields[0], "subject", subject_of(r->path), "choices",
                     row->fields[1], row->fields[2], row->fields[3], row->fields[4], "answer", *letter - 'A');
}

/* Appends the answers of a field, divided by ";", with a label. */
static void add_answers(json_t *targets, const char *field, int label)
{
    for (const char *p = field; *p;) {
        size_t n = strcspn(p, ";"), start, stop;
        choice_strip(p, n, &start, &stop);
        if (stop > start) {
            json_array_append_new(json_object_get(targets, "choices"), json_stringn(p + start, stop - start));
            json_array_append_new(json_object_get(targets, "labels"), json_integer(label));
        }
        p += n + (p[n] == ';');
    }
}

/* A row of TruthfulQA.csv, whose columns are found by the names in its first line. */
static json_t *truthfulqa_object(struct choice_reader *r, const struct csv_row *head, const struct csv_row *row)
{
    static const char *const names[] = {"Question", "Best Answer", "Correct Answers", "Incorrect Answers"};
    const char *fields[4] = {0};
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < head->n && i < row->n; i++)
            if (strcmp(head->fields[i], names[k]) == 0) fields[k] = row->fields[i];
    if (!fields[0] || !fields[1] || !fields[2] || !fields[3]) {
        fail_row(r, "must have the columns Question, Best Answer, Correct Answers, Incorrect Answers");
        return NULL;
    }
    json_t *mc1 = json_pack("{s:[],s:[]}", "choices", "labels"), *mc2 = json_pack("{s:[],s:[]}", "choices", "labels");
    add_answers(mc1, fields[1], 1);
    add_answers(mc1, fields[3], 0);
    add_answers(mc2, fields[2], 1);
    add_answers(mc2, fields[3], 0);
    return json_pack("{s:s,s:o,s:o}", "question", fields[0], "mc1_targets", mc1, "mc2_targets", mc2);
}

static enum status read_csv(struct choice_reader *r, keep_fn keep)
{
    struct csv_file *f = csv_file_open(r->c, r->path);
    bool headed = r->set->task != CHOICE_MMLU;
    struct csv_row head = {0}, row;
    if (f && headed) csv_file_next(f, &head);
    while (f && ctx_ok(r->c) && csv_file_next(f, &row)) {
        snprintf(r->what, sizeof(r->what), "%s:%lld", r->path, (long long)row.line);
        json_t *doc = headed ? truthfulqa_object(r, &head, &row) : mmlu_object(r, &row);
        if (doc) keep(r, doc);
    }
    csv_file_close(f);
    return r->c->status;
}

static enum status choice_read_rows(struct choice_reader *r, keep_fn keep)
{
    struct row_file *f = row_file_open(r->c, r->path);
    struct row_bytes row;
    while (f && ctx_ok(r->c) && row_file_next(f, &row)) {
        snprintf(r->what, sizeof(r->what), "%s:%lld", r->path, (long long)row.row);
        if (row.is_text || row.too_long)
            fail_row(r, "is no row of a benchmark");
        else {
            json_t *doc = json_parse(r->c, r->what, row.bytes, row.n);
            if (doc) keep(r, doc);
        }
    }
    row_file_close(f);
    return r->c->status;
}

static enum status choice_read_file(struct choice_reader *r, const char *path, keep_fn keep)
{
    size_t n = strlen(path);
    bool csv = n > 4 && strcasecmp(path + n - 4, ".csv") == 0;
    r->path = path;
    if (!csv) return choice_read_rows(r, keep);
    if (r->set->task == CHOICE_ARC || r->set->task == CHOICE_HELLASWAG)
        return ctx_fail(r->c, E_INPUT, "%s: %s is read from JSON Lines or Parquet, not from CSV", path,
                        choice_task_name[r->set->task]);
    return read_csv(r, keep);
}

static enum status read_all(struct choice_reader *r)
{
    const struct choice_options *o = r->options;
    if (o->shots > 0 && r->set->task != CHOICE_MMLU)
        return ctx_fail(r->c, E_UNSUPPORTED, "--shots: examples in front are there for mmlu only");
    if (o->shots > 0 && !o->shots_path) return ctx_fail(r->c, E_INPUT, "--shots: --shot-data FILE is needed");
    if (o->shots > 0) TRY(choice_read_file(r, o->shots_path, keep_shot));
    for (size_t i = 0; i < o->n_paths; i++) TRY(choice_read_file(r, o->paths[i], choice_read_keep_item));
    if (r->set->n == 0) return ctx_fail(r->c, E_INPUT, "%s: holds no item", o->n_paths ? o->paths[0] : "no file");
    return OK;
}

struct choice_set *choice_open(struct ctx *c, enum choice_task task, const struct choice_options *o)
{
    struct choice_set *s = mem_alloc(c, 1, sizeof(*s));
    if (!s) return NULL;
    s->c = c;
    s->task = task;
    struct choice_reader r = {.c = c, .set = s, .options = o};
    enum status status = read_all(&r);
    for (size_t i = 0; i < r.n_shots; i++) json_decref(r.shots[i]);
    mem_free(c, r.shots);
    if (status == OK) return s;
    choice_close(s);
    return NULL;
}
