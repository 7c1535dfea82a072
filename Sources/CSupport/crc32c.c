#include "CSuanpanSupport.h"
#include <string.h>

static uint32_t table[8][256];

__attribute__((constructor)) static void build_table(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++)
    for (int k = 1; k < 8; k++) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
}

static uint32_t crc_software(uint32_t c, const uint8_t *p, size_t n) {
  while (n >= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    w ^= c;
    c = table[7][w & 255] ^ table[6][(w >> 8) & 255] ^ table[5][(w >> 16) & 255] ^ table[4][(w >> 24) & 255] ^
        table[3][(w >> 32) & 255] ^ table[2][(w >> 40) & 255] ^ table[1][(w >> 48) & 255] ^ table[0][w >> 56];
    p += 8, n -= 8;
  }
  while (n--) c = (c >> 8) ^ table[0][(c ^ *p++) & 255];
  return c;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

// Three independent streams hide the instruction's latency of three cycles; their sums are joined by advancing a CRC
// over zeros, which is linear: one table look-up per byte of the sum.
enum { LANE = 1024 };
static uint32_t advance1[4][256], advance2[4][256];

static uint32_t over_zeros(uint32_t c, size_t n) {
  static const uint8_t zeros[LANE];
  while (n) {
    size_t k = n < LANE ? n : LANE;
    c = crc_software(c, zeros, k);
    n -= k;
  }
  return c;
}
__attribute__((constructor(65535))) static void build_advance(void) {
  if (!table[0][1]) build_table();
  for (int b = 0; b < 4; b++)
    for (uint32_t i = 0; i < 256; i++) {
      advance1[b][i] = over_zeros(i << (8 * b), LANE);
      advance2[b][i] = over_zeros(i << (8 * b), 2 * LANE);
    }
}
static inline uint32_t advance(uint32_t t[4][256], uint32_t c) {
  return t[0][c & 255] ^ t[1][(c >> 8) & 255] ^ t[2][(c >> 16) & 255] ^ t[3][c >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t n) {
  uint64_t a = crc, w;
  while (n >= 3 * LANE) {
    uint64_t b = 0, c = 0, x, y, z;
    for (size_t i = 0; i < LANE; i += 8) {
      memcpy(&x, p + i, 8), memcpy(&y, p + LANE + i, 8), memcpy(&z, p + 2 * LANE + i, 8);
      a = _mm_crc32_u64(a, x), b = _mm_crc32_u64(b, y), c = _mm_crc32_u64(c, z);
    }
    a = advance(advance2, (uint32_t)a) ^ advance(advance1, (uint32_t)b) ^ (uint32_t)c;
    p += 3 * LANE, n -= 3 * LANE;
  }
  while (n >= 8) memcpy(&w, p, 8), a = _mm_crc32_u64(a, w), p += 8, n -= 8;
  while (n--) a = _mm_crc32_u8((uint32_t)a, *p++);
  return (uint32_t)a;
}
#endif

uint32_t suanpan_crc32c(uint32_t crc, const void *bytes, size_t length) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~crc_hardware(~crc, bytes, length);
#endif
  return ~crc_software(~crc, bytes, length);
}
