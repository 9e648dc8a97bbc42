// Rows of a tensor, copied into the words that the products read.
#pragma once

#include <cstdint>

#include "views.h"

namespace numina {

// Words that hold `columns` elements.
inline int64_t words_for(int64_t columns, int64_t per_word) {
  return (columns + per_word - 1) / per_word;
}

// Rows begin..end-1 of one head as [end - begin, words_for(columns)] words, an odd column filled up
// with a zero. bfloat16 becomes float where a word holds one element.
void pack_rows(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
               int64_t per_word, float* packed);

// Rows begin..end-1 of one head as panels [words, lanes] of words, `panel_stride` words apart; a
// word holds `per_word` neighbouring rows of one column. `begin` is a multiple of `per_word`; the
// columns that fill up the last panel and a row that is not there are zero. `packed` points to the
// panel of all rows, of which word begin / per_word is the first to be written.
void pack_panels(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
                 int64_t per_word, int64_t lanes, int64_t panel_stride, float* packed);

// Whether rows can be read as words where they are.
inline bool are_words(const Rows& rows, int64_t per_word) {
  return rows.strides[3] == 1 && rows.item() * per_word == 4 && rows.columns % per_word == 0;
}

}  // namespace numina
