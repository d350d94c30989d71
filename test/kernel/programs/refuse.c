// A runtime that takes no memory but its own, as Electron and whoever else confines V8's pointers: an LD_AUDIT library which
// answers for it when an addon offers such memory. Each refusal is a byte in the file that REFUSALS names.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kNoExternalBuffersAllowed = 22 }; // napi_no_external_buffers_allowed

static int refuse(void) {
  const int file = open(getenv("REFUSALS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (file < 0 || write(file, "x", 1) != 1) abort();
  close(file);
  return kNoExternalBuffersAllowed;
}

unsigned la_version(unsigned version) { return version; }

unsigned la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie) {
  (void)map, (void)lmid, (void)cookie;
  return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to, unsigned *flags,
                       const char *name) {
  (void)index, (void)from, (void)to, (void)flags;
  return strcmp(name, "napi_create_external_arraybuffer") == 0 ? (uintptr_t)refuse : symbol->st_value;
}
