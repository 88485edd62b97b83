"""Teachers: a pretrained transformer, fine-tuned for a task, whose outputs on unlabelled text a student learns.

They need the extra `teach` (PyTorch, Transformers and packages with the pretrained weights). Their result is a
`training.data.distillation.DistillationSet`.
"""

import sys

# TensorFlow and Triton each contain LLVM, which ends the process when its options are registered twice. So PyTorch
# must not load Triton, which it needs to compile networks: teachers are not compiled.
sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
