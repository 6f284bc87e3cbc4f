"""ILoRA in P3's sense: LoRA without a limit on what is sent (arXiv 2505.00333).

The baseline that sparsified methods are held against: all of the adapter at full rank, nothing left
out, and averaged. That its packets cost nothing is for the scenario to say (an ample band).
"""

from cosim.learning.methods._average import Averaged


class Ilora(Averaged):
    """Trains, sends and averages all of A and B, and the head; all start from one A.

    The same as `lora` with `common_start`, as P3's server broadcasts one adapter to all.
    """
