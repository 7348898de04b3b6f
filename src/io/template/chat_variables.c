/* chat_variables: builds the variables that transformers' apply_chat_template would give a template. Templates test
 * variables with `is defined` and `is none`, so what is null, what is absent and how members are called decides which branch
 * they take. */
#include "io/template/chat_variables.h"

/* A member that is there and not null. */
static bool variables_is_set(const json_t *v)
{
    return v && !json_is_null(v);
}

/* Copies all members but nulls. Returns whether anything failed. */
static int copy_filled(json_t *to, const json_t *from)
{
    const char *key;
    json_t *member;
    int failed = 0;
    json_object_foreach((json_t *)from, key, member) if (variables_is_set(member)) failed |=
        json_object_set(to, key, member);
    return failed;
}

/* {"thinking": ..., the message's members, "reasoning_content": ...}, in this order. */
static json_t *message_copy(const json_t *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *copy = json_object(), *reasoning = NULL;
    for (size_t i = 0; i < 3 && !reasoning; i++) {
        json_t *v = json_object_get(message, names[i]);
        reasoning = variables_is_set(v) ? v : NULL;
    }
    int failed = copy == NULL;
    if (reasoning) failed |= json_object_set(copy, "thinking", reasoning);
    if (!failed) failed |= copy_filled(copy, message);
    if (reasoning) failed |= json_object_set(copy, "reasoning_content", reasoning);
    if (!failed) return copy;
    json_decref(copy);
    return NULL;
}

/* All messages, each as `message` above makes it. */
static json_t *message_list(struct ctx *c, const json_t *messages)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        json_t *copy = json_is_object(message) ? message_copy(message) : NULL;
        if (!json_is_object(message))
            ctx_fail(c, E_INPUT, "message %zu is not an object", i);
        else if (!copy || json_array_append_new(list, copy) != 0)
            ctx_fail(c, E_MEMORY, "out of memory for a message");
    }
    if (!list) ctx_fail(c, E_MEMORY, "out of memory for messages");
    if (list && ctx_ok(c)) return list;
    json_decref(list);
    return NULL;
}

json_t *chat_variables_new(struct ctx *c, const json_t *messages, const json_t *tools, const json_t *more,
                           bool add_generation_prompt)
{
    json_t *o = json_object(), *list = message_list(c, messages);
    int failed = !o || !list;
    if (!failed && more) failed |= json_object_update(o, (json_t *)more);
    if (!failed) {
        failed |= json_object_set(o, "messages", list);
        failed |= json_object_set_new(o, "tools", tools ? json_incref((json_t *)tools) : json_null());
        if (!json_object_get(o, "documents")) failed |= json_object_set_new(o, "documents", json_null());
        failed |= json_object_set_new(o, "add_generation_prompt", json_boolean(add_generation_prompt));
    }
    json_decref(list);
    if (!failed) return o;
    json_decref(o);
    ctx_fail(c, E_MEMORY, "out of memory for a conversation");
    return NULL;
}
