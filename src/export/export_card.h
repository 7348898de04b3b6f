/* export_card: README.md of an export of any format, and the sentences that it shares with what the command prints. */
#ifndef YA_EXPORT_EXPORT_CARD_H
#define YA_EXPORT_EXPORT_CARD_H

#include "export/export.h"

/* Writes the card into the folder `dir`: the head that hubs read, what it is, how it is run, how the check in *r came out,
 * for an adapter the SHA-256 of the base's weights, and of a run what peft_append_run says. E_IO, E_MEMORY. */
enum status export_card_write(const struct export_source *s, const struct export_target *t, const char *dir,
                              const struct export_result *r);

/* How the check came out, in a line without its end. */
void export_append_check(struct buf *b, const struct export_result *r);
/* How the format is run, `opens` being what it opens: a line that can be copied into a shell, whatever the folders are
 * called, and what else there is to say in brackets behind it. */
void export_append_usage(struct buf *b, const struct export_source *s, const struct export_format *f, const char *opens);
/* What merging onto a quantised base means, in two lines; nothing when there is no adapter or the base is not quantised. */
void export_append_base_note(struct buf *b, const struct export_source *s);

#endif
