/* file: reading by mapping, writing so that a crash loses nothing.
 *
 * A mapped file that another process truncates would raise SIGBUS on access. file_guard_install puts a handler in place
 * that swaps the missing page for zeros and marks the mapping; file_check turns the mark into an error. Readers call it
 * once after parsing and the trainer once a step, so a truncated file is an error and never a crash. */
#ifndef YA_BASE_FILE_H
#define YA_BASE_FILE_H

#include "base/ctx.h"

/* Records "cannot VERB PATH: reason" for an errno value and returns the status: E_INPUT when the name leads nowhere
 * (missing, a folder where a file should be, ...), E_MEMORY when there was none, E_IO when the system refused. */
enum status file_fail(struct ctx *c, const char *verb, const char *path, int error);

/* Opens a regular file for reading, without waiting on a pipe. Returns the descriptor (owner the caller) and its size, or
 * -1 with the errors of file_fail, E_INPUT for anything but a regular file. */
int file_open(struct ctx *c, const char *path, uint64_t *bytes);
/* read() that is called again after a signal: bytes read, 0 at the end, -1 with E_IO naming `path`. */
int64_t file_read_some(struct ctx *c, int fd, const char *path, void *to, size_t n);

struct file_map; /* opaque; data and size through the accessors */

/* Puts the SIGBUS guard in place for the process, in front of the handler that is there. Called by file_map_open; safe to
 * call again, and mends the guard when somebody else has replaced it meanwhile. */
void file_guard_install(void);

/* Maps a regular file read-only. The mapping lives until file_map_close (which accepts NULL). Empty files map to a
 * non-NULL pointer of size 0. Errors: those of file_fail; E_INPUT for anything but a regular file. */
struct file_map *file_map_open(struct ctx *c, const char *path);
void file_map_close(struct file_map *m);
/* The mapped bytes, their number, and the path as it was given; all belong to the mapping. */
const uint8_t *file_map_data(const struct file_map *m);
size_t file_map_size(const struct file_map *m);
const char *file_map_path(const struct file_map *m);

/* Lets go of the memory behind a part of a mapping that will not be read for a while (whole pages inside it); it stays
 * readable, from the file again. A hint: nothing is reported. */
void file_map_drop(const void *data, size_t bytes);

/* E_IO naming the file when it has become shorter than its mapping or a page of it could not be read. One fstat: cheap. */
enum status file_check(struct ctx *c, const struct file_map *m);

/* Reads a whole regular file of at most max_bytes into memory (owner the caller, NUL-terminated beyond *size). NULL with
 * E_INPUT when it is larger, and with the errors of file_fail. */
char *file_read(struct ctx *c, const char *path, size_t max_bytes, size_t *size);

/* Writes bytes to path: temporary name in the same folder, write, fsync, rename, fsync of the folder. On any failure the
 * old file is intact, the temporary is removed, and the message says which call failed and why (E_IO). The temporary is
 * called PATH.<process>-<number>.tmp; only a crash leaves one behind. Does nothing when the ctx already holds a
 * failure. */
enum status file_write_atomic(struct ctx *c, const char *path, const void *bytes, size_t n);

/* A streaming writer with the same guarantee. Errors are sticky; file_writer_commit reports them, and it also refuses to
 * publish the file while the ctx holds a failure of any kind, since what was written may then be incomplete. */
struct file_writer;
struct file_writer *file_writer_open(struct ctx *c, const char *path);
void file_writer_write(struct file_writer *w, const void *bytes, size_t n);
/* Writes n bytes that are 0 by leaving them out: they take no space on a file system that has holes. */
void file_writer_skip(struct file_writer *w, size_t n);
/* Both end the writer and free it. commit makes the file the one at `path` (fsync, rename, fsync of the folder); abort
 * removes the temporary, and accepts NULL. */
enum status file_writer_commit(struct file_writer *w);
void file_writer_abort(struct file_writer *w);
/* Publishes n files that belong together, so that w[n - 1] is the mark of all: where its name stands, the others stand
 * beside it, whenever the process is killed. All bytes are brought to the disk first, and a failure up to there leaves the
 * old files as they were. Then the names are freed of old files, the mark's first, and taken in order; a failure or a kill
 * between leaves files that lack the mark, never an old one beside a new one. An entry may be NULL when the ctx holds the
 * failure to open it. All entries are freed and NULL afterwards. E_IO. */
enum status file_writers_commit(struct ctx *c, struct file_writer **w, size_t n);

/* Directories. dir_make creates missing parents and fsyncs the folders that hold new ones. dir_sync fsyncs a folder.
 * dir_remove deletes a folder tree without following symbolic links (nothing there is fine). dir_commit renames
 * `temporary` to `final` (which must not exist) and fsyncs the parent. */
enum status dir_make(struct ctx *c, const char *path);
enum status dir_sync(struct ctx *c, const char *path);
/* fsyncs the folder that holds `path`, so that the name itself survives a crash. */
enum status dir_sync_parent(struct ctx *c, const char *path);
enum status dir_remove(struct ctx *c, const char *path);
enum status dir_commit(struct ctx *c, const char *temporary, const char *final);

/* Takes the folder for this process: a descriptor (owner the caller, given back with dir_unlock), or -1 with E_INPUT when
 * another holder has it. The lock ends with the process, however it ends, and leaves no file behind. On a file system
 * without locks the folder is taken without one. */
int dir_lock(struct ctx *c, const char *path);
void dir_unlock(int fd); /* accepts -1 */

/* Entries of a folder, sorted by name, "." and ".." left out. Free each string and the list with dir_list_free. */
enum status dir_list(struct ctx *c, const char *path, char ***names, size_t *n);
void dir_list_free(struct ctx *c, char **names, size_t n);
/* Makes the folder, or takes one that is empty; E_INPUT naming an entry otherwise. */
enum status dir_make_empty(struct ctx *c, const char *path);

/* Whether there is a regular file, or a folder, of this name, links followed. */
bool file_exists(const char *path);
bool dir_exists(const char *path);
/* dir + "/" + name, owner the caller; one slash, also where dir ends in one. NULL with E_MEMORY. */
char *path_join(struct ctx *c, const char *dir, const char *name);
/* `path` from the root of the file system: the working folder in front of a relative one, nothing resolved, so that links
 * keep their names. Owner the caller. E_IO when the working folder has no name any more (it was removed). */
char *path_absolute(struct ctx *c, const char *path);
/* SHA-256 of a file's bytes as 64 hexadecimal digits and a NUL, and its size. Errors: those of file_fail. */
enum status file_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes);

#endif
