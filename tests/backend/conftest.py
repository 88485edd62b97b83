import tensorflow as tf

# Once in a process, before anything runs: as the service does.
tf.config.threading.set_intra_op_parallelism_threads(1)
