/* data_rows: what the rows of data_rows.h leave open. Option tables have no value for "not given" of a number, so a negative
 * default score stands for none and becomes NaN here. */
#include "data/data_rows.h"

#include <math.h>

/* A CHOICE_ROW fills an int; every enum that one fills has an int's size. */
_Static_assert(sizeof(enum distrust) == sizeof(int) && sizeof(enum dataset_long) == sizeof(int) &&
                   sizeof(enum chat_choice) == sizeof(int) && sizeof(enum chat_train_on) == sizeof(int) &&
                   sizeof(enum chat_mask) == sizeof(int) && sizeof(enum row_form) == sizeof(int),
               "choices fill enums");

void data_rows_settle(struct dataset_options *o)
{
    if (o->default_auth_weight < 0) o->default_auth_weight = NAN;
    if (o->default_prov_entropy < 0) o->default_prov_entropy = NAN;
}
