/* backend_open: opens a backend by the name that a user gives (--device, YA_DEVICE), or chooses one for this machine. */
#ifndef YA_BACKEND_BACKEND_OPEN_H
#define YA_BACKEND_BACKEND_OPEN_H

#include "array/backend.h"

/* Opens a backend: "cpu" (the best CPU backend), one of the names in backend/cpu/cpu.h, "cuda" or "cuda:N" (an NVIDIA
 * card), or "walled" (backend/walled.h). NULL or "auto": what YA_DEVICE in the environment names, else the first card
 * where a driver shows one, else "cpu". Owner of the result: the caller, usually array_env_new. NULL with E_INPUT for an
 * unknown name, else as the backend's own open. */
struct backend *backend_open(struct ctx *c, const char *name);
/* The same backend in its counting form (struct backend): allocates address space only and computes nothing. */
struct backend *backend_open_counting(struct ctx *c, const char *name);
/* The name of NVIDIA card `index` with its compute capability, as its driver tells them, into out: "NVIDIA H200, compute
 * capability 9.0". False when there is no such card that this program can use. `told`: the ctx whose log is told why a card
 * cannot be used although a driver is installed, or NULL. */
bool backend_card(struct ctx *told, int index, char *out, size_t out_bytes);
/* Whether an open backend is what a name asks for: "cpu" any of the CPU's, "cuda" card 0; NULL and "auto" are any. */
bool backend_is(const struct backend *b, const char *name);

#endif
