#!/bin/sh
# All studies, those of the papers and those beyond them, one after another:
#
#   sh scenarios/studies.sh [DATA MINILM]
#
# DATA is the folder of the text data sets that scenarios/real_text.yaml names, MINILM that of the
# encoder; without them the studies on real text are left out. What is done already is not run
# again. COSIM names the command, if it is not `cosim`.
here=$(dirname "$0")
failed=0
for study in "$here"/papers/*.yaml "$here"/beyond/*.yaml; do
  grep -q '^sweep:' "$study" || continue # what others extend
  case $study in
    *_real.yaml | *_text.yaml)
      if [ $# -ne 2 ]; then
        echo "$study: left out, as it needs DATA and MINILM"
        continue
      fi
      ${COSIM:-cosim} sweep "$study" "data_root=$1" "learning.model.source=path:$2" || failed=1
      ;;
    *) ${COSIM:-cosim} sweep "$study" || failed=1 ;;
  esac
done
# P3's figure of complexity needs no run.
${COSIM:-cosim} plot --figure soft_complexity || failed=1
exit $failed
